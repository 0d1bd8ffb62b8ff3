"""Parts of `ona up` that need no machine."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from bot.config import Settings
from bot.govern.credentials import signed_in
from bot.store.database import Database
from bot.up import _registries, credentials_here, up
from vmpool.network.policy import Policy, Rule


@pytest.mark.parametrize("kept", [None, "", "ona_of_a_database_that_is_gone"])
async def test_the_command_lines_token_is_known_to_the_database(
    database_url: str, tmp_path: Path, kept: str | None
) -> None:
    settings = Settings(data_dir=tmp_path)
    if kept is not None:
        settings.token_file.write_text(kept)
    database = Database(database_url, connections_max=2)
    try:
        token, link = await credentials_here(database, settings)
        again, _ = await credentials_here(database, settings)
        async with database.begin() as tx:
            known = await signed_in(tx, "token", token)
    finally:
        await database.close()
    assert known is not None
    assert again == token
    assert settings.token_file.read_text().strip() == token
    assert settings.token_file.stat().st_mode & 0o777 == 0o600
    assert link.startswith("/sign-in?link=")


async def test_ctrl_c_while_the_image_is_built_stops_at_once(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()

    async def build(*_args: object, **_more: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    monkeypatch.setattr("bot.up.ensure_image", build)
    said: list[str] = []
    settings = Settings(data_dir=tmp_path, database={"url": database_url})
    async with asyncio.timeout(60):
        await up(settings, tmp_path, said.append)
    assert ended.is_set()
    assert said[-1] == "Stopped."
    assert not any("first prompt" in one for one in said)


def test_what_machines_may_reach_by_default_is_said_shortly():
    lines = [Rule(True, f"r{n}.example.com") for n in range(8)]
    denied = Rule(False, "d.example.com")
    assert _registries(Policy(rules=(denied, *lines[:2]))) == "r0.example.com, r1.example.com"
    assert _registries(Policy(rules=tuple(lines))).endswith("r5.example.com and 2 more")
    assert _registries(Policy()) == "none"
