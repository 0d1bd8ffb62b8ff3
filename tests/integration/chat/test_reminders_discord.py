"""Reminders on Discord, in a thread and in the channel itself."""

import asyncio
from datetime import UTC, datetime

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


async def due_now(office):
    """Once it is saved, the reminder is due now instead of when it is."""
    async with asyncio.timeout(60):
        while not await office.town.rows(
            "UPDATE schedule SET due_at = now(), fire_at = now() WHERE state = 'active'"
            " RETURNING id"
        ):
            await asyncio.sleep(0.05)


async def alone(office, *words: str):
    """Wait for a direct message to Bo with these words."""
    channel = office.bo.direct(office.app)

    def found():
        return [one for one in office.bo.sees(channel) if all(word in one.text for word in words)]

    await office.fake.until(found)


async def test_a_channel_is_named_by_who_may_see_it(office):
    # Ann owns the server and sees all of it.
    office.fake.channel(office.guild, "secret", office.app, private=True)
    async with office.serving():
        await office.ready()
        office.asks("remind #secret every day at 9 drink water", by=office.bo)
        await alone(office, "I find no channel")
        assert await office.town.value("SELECT count(*) FROM reminder") == 0
        asked = office.asks("remind #general every day at 9 drink water", by=office.bo)
        proposed = await office.answered(asked, "I understood")
        office.bo.clicks(proposed, "Yes, post these words")
        await due_now(office)
        await office.posted(office.general, "A reminder of", "drink water")


async def test_who_may_not_see_a_channel_any_more_reminds_it_no_more(office):
    async with office.serving():
        await office.ready()
        asked = office.asks("remind channel every day at 9 drink water", by=office.bo)
        proposed = await office.answered(asked, "I understood")
        office.bo.clicks(proposed, "Yes, post these words")
        await office.answered(asked, "Saved as")
        office.bo.hides(office.general, office.bo)
        await due_now(office)
        await alone(office, "is paused", "drink water")
        assert not [one for one in office.ours(office.general) if "A reminder of" in one.text]


async def test_one_is_put_off_to_a_time_that_is_said_in_a_form(office):
    async with office.serving():
        await office.ready()
        asked = office.asks("remind me every day at 9 drink water")
        proposed = await office.answered(asked, "I understood")
        office.ann.clicks(proposed, "Yes, post these words")
        await due_now(office)
        posted = await office.answered(asked, "A reminder of")
        shown = office.ann.clicks(posted, "Another time")
        await office.fake.until(lambda: shown.modal)
        assert shown.modal["title"] == "Another time"
        office.ann.submits(shown, **{"ona.words": "2029-12-24 9:00"})
        at = int(datetime(2029, 12, 24, 9, tzinfo=UTC).timestamp())
        await office.answered(asked, f"I say it again at <t:{at}:f>.")


def asked_back(office):
    """What Ann alone was told."""
    return office.ann.sees(office.ann.direct(office.app))


@pytest.mark.parametrize("when", ["tomorrow at 3", "mañana a las 9", "明日 9時", "21:30 domani"])
async def test_a_time_that_can_t_be_read_is_asked_back_with_a_line_for_words(office, when):
    def hint():
        return next((one for one in asked_back(office) if one.components), None)

    def understood():
        return [one for one in asked_back(office) if "I understood" in one.text]

    async with office.serving():
        await office.ready()
        office.asks(f"remind me {when} to drink water")
        await office.fake.until(hint)
        assert await office.town.value("SELECT count(*) FROM reminder") == 0
        shown = office.ann.clicks(hint(), "Choose the time")
        await office.fake.until(lambda: shown.modal)
        office.ann.submits(shown, **{"ona.words": "2029-12-24 9:00"})
        await office.fake.until(understood)
        at = int(datetime(2029, 12, 24, 9, tzinfo=UTC).timestamp())
        assert f"<t:{at}:f>" in understood()[0].text
        assert "drink water" in understood()[0].text
    assert await office.town.value("SELECT count(*) FROM prompt") == 0
    assert await office.town.value("SELECT what FROM reminder") == "drink water"


@pytest.mark.parametrize("whom", ["here", "channel"])
async def test_a_direct_message_takes_no_time_for_another_place(office, whom):
    async with office.serving():
        await office.ready()
        office.asks(f"remind {whom} tomorrow at 3 to drink water")
        await office.fake.until(lambda: asked_back(office))
    (told,) = asked_back(office)
    assert "15" in told.text
    assert not told.components


async def test_a_reply_to_what_stands_in_the_channel_goes_on_in_its_session(office):
    town = office.town
    async with office.serving():
        await office.ready()
        asked = office.asks("remind channel every day at 9 drink water")
        proposed = await office.answered(asked, "I understood")
        office.ann.clicks(proposed, "Yes, post these words")
        await due_now(office)
        posted = await office.posted(office.general, "A reminder of", "drink water")
        office.ann.says(office.general, "how much of it?", reply_to=posted)
        office.ann.says(office.general, "nobody is asked", reply_to=posted, ping=False)
        async with asyncio.timeout(60):
            while not await town.rows("SELECT id FROM prompt"):
                await asyncio.sleep(0.05)
    assert await town.value("SELECT count(*) FROM session") == 1
    assert await town.rows("SELECT text FROM delivery JOIN prompt ON prompt.id = prompt_id") == [
        ("how much of it?",)
    ]


async def test_a_reply_to_what_came_alone_goes_on_in_its_session(office):
    town = office.town
    hidden = office.fake.channel(office.guild, "hidden", office.app, private=True)
    async with office.serving():
        await office.ready()
        office.asks("help", by=office.bo)
        asked = office.ann.says(hidden, f"<@{office.app.id}> remind @bo every day at 9 stand-up")
        proposed = await office.answered(asked, "I understood")
        office.ann.clicks(proposed, "Yes, post these words")
        await due_now(office)
        await alone(office, "stand-up", "A reminder of")
        channel = office.bo.direct(office.app)
        (posted,) = [one for one in office.bo.sees(channel) if "stand-up" in one.text]
        async with asyncio.timeout(60):
            # Nobody is quicker than our note of having posted.
            while await town.rows("SELECT id FROM reply WHERE state <> 'sent'"):
                await asyncio.sleep(0.05)
        office.bo.says(channel, "who takes part?", reply_to=posted)
        async with asyncio.timeout(60):
            while not await town.rows("SELECT id FROM prompt"):
                await asyncio.sleep(0.05)
    of = "SELECT count(*) FROM prompt JOIN reminder USING (session_id)"
    assert await town.value(of) == 1
