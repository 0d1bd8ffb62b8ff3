"""What people copy in a chat is taken for nothing of ours."""

import pytest

from tests.integration.scenarios.talks import counted, shown
from tests.support.shift import Shift

CHATS = ("slack", "discord")
PROMPTS = "SELECT count(*) FROM prompt"
RUNNING = "SELECT count(*) FROM turn WHERE state = 'running'"


@pytest.mark.parametrize("talk", CHATS, indirect=True)
async def test_a_copy_of_our_post_asks_nothing_and_stops_nothing(town, places, talk):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo begun; sleep 100")
        await talk.copies(thread)
        await talk.says(thread, "!echo beta")
        await counted(town, PROMPTS, 2)
        assert await town.value(RUNNING) == 1
        await talk.stop(thread, "word")
        await shown(talk, thread, "Stopped")
    asked = "SELECT text FROM delivery WHERE prompt_id IS NOT NULL ORDER BY text"
    assert await town.rows(asked) == [("echo begun; sleep 100",), ("echo beta",)]
