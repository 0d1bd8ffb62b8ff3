"""The SDKs are large: `ona serve` imports those of the surfaces that are switched on."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SDKS = ("discord", "github", "gitlab", "slack_bolt", "slack_sdk")
PROGRAM = """
import asyncio, json, sys
import bot.app
from bot.config import Settings
from bot.store.database import Database
from bot.surfaces import open_surfaces

async def main(url, given, sdks):
    database = Database(url)
    async with open_surfaces(Settings(**given), database, owner="serve") as surfaces:
        assert set(given) <= set(surfaces.ports)
    await database.close()
    print(json.dumps([name for name in sdks if name in sys.modules]))

asyncio.run(main(*map(json.loads, sys.argv[1:])))
"""


@pytest.mark.parametrize(
    ("given", "imported"),
    [
        ({}, []),
        ({"discord": {"token": "x"}}, ["discord"]),
        ({"github": {"app_id": 1, "private_key": "x"}}, ["github"]),
        ({"gitlab": {"token": "x"}}, ["gitlab"]),
        ({"slack": {"bot_token": "xoxb-1", "app_token": "xapp-1"}}, ["slack_bolt", "slack_sdk"]),
    ],
    ids="-".join,
)
async def test_only_what_is_switched_on_is_imported(town, given, imported):
    words = [json.dumps(one) for one in (town.database.url, given, SDKS)]
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PROGRAM, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == imported
