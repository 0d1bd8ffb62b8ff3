"""`ona serve` as a process of its own, with a workspace to talk to."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.slack import Bad
from tests.integration.chat.slack_rig import Office, open_office

ROOT = Path(__file__).parents[3]
STOP_SECONDS_MAX = 100


@asynccontextmanager
async def serving(office: Office, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    variables = {
        "ONA_DATA_DIR": str(directory),
        "ONA_PORT": "0",
        "ONA_DATABASE__URL": office.town.database.url,
        "ONA_LOG__FORMAT": "json",
        "ONA_SLACK__BOT_TOKEN": office.bot.token,
        "ONA_SLACK__APP_TOKEN": office.slack.app.token,
        "ONA_SLACK__API_URL": office.slack.api_url,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONA_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "serve"),
        cwd=ROOT,
        env={**kept, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await office.slack.until(lambda: office.slack.out.sockets.open, 60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_listens_answers_and_stops_when_told(town, tmp_path):
    async with open_office(town) as office, serving(office, tmp_path) as process:
        asked = office.asks("!true")
        await office.slack.until(lambda: "eyes" in asked.reactions)
        office.ann.says(office.general, "status", thread=asked)
        await office.answered(asked, "Session s-")
        # Slack's SDK does not bear that its connection closes while it acknowledges.
        await office.slack.until(lambda: all(one.acked for one in office.slack.out.all))
        process.terminate()
        said, _ = await asyncio.wait_for(process.communicate(), STOP_SECONDS_MAX)
    assert process.returncode == 0
    assert office.bot.token not in said.decode()
    assert b"Traceback" not in said, said.decode()


async def test_answered_once_a_process_killed_between_commit_and_post_is_followed_by_one_post(
    town, tmp_path
):
    async with open_office(town) as office:
        async with serving(office, tmp_path / "one") as first:
            asked = office.asks("!true")
            await office.slack.until(lambda: "eyes" in asked.reactions)
            office.slack.behave("chat.postMessage", Bad(stored=first.kill, drop_answer=True))
            office.ann.says(office.general, "status", thread=asked)
            await asyncio.wait_for(first.wait(), STOP_SECONDS_MAX)
        await town.rows("UPDATE reply SET sender_until = now() RETURNING id")
        async with serving(office, tmp_path / "two"):
            async with asyncio.timeout(100):
                sent = "SELECT state FROM reply WHERE kind = 'notice'"
                while await town.rows(sent) != [("sent",)]:
                    await asyncio.sleep(0.1)
        assert len([one for one in office.ours(asked) if "Session s-" in one.text]) == 1
