"""Reminders on Discord, in a thread and in the channel itself."""

import pytest

from tests.integration.chat.discord_rig import open_office


@pytest.fixture
async def office(town):
    async with open_office(town) as office:
        yield office


@pytest.mark.parametrize("whom", ["me", "channel"])
async def test_a_reminder_is_confirmed_by_a_button_and_posted_where_it_should(office, whom):
    async with office.serving():
        await office.ready()
        asked = office.asks(f"remind {whom} in 2 seconds drink water")
        proposed = await office.answered(asked, "I understood", "drink water")
        office.ann.clicks(proposed, "Yes, post these words")
        await office.answered(asked, "Saved as")
        where = office.general if whom == "channel" else (lambda: asked.thread)
        posted = await office.posted(where, "A reminder of", "drink water")
        assert (posted.channel is office.general) == (whom == "channel")
