"""Reminders on Slack, with its buttons, in threads and in channels."""

import asyncio
from datetime import UTC, datetime

import pytest

from bot.store.states import TurnState
from tests.fakes.slack.mrkdwn import shown
from tests.integration.chat.slack_rig import open_office


@pytest.fixture
async def office(town):
    async with open_office(town) as office:
        yield office


async def due_now(office):
    """Once it is saved, the reminder is due now instead of when it is."""
    async with asyncio.timeout(60):
        while not await office.town.rows(
            "UPDATE schedule SET due_at = now(), fire_at = now() WHERE state = 'active'"
            " RETURNING id"
        ):
            await asyncio.sleep(0.05)


async def ended(town, state: TurnState, summary: str):
    """The one turn that waits is begun and ends so."""
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    await queue.finish(lease, turn, state, {"summary": summary})


def in_channel(office, channel, *words: str):
    """Posts of the bot that stand in the channel itself and say these words."""
    return [
        one
        for one in channel.public()
        if one.author is office.bot.user
        and not one.is_reply
        and all(word in one.text for word in words)
    ]


async def test_a_reminder_is_confirmed_by_a_button_and_comes_with_buttons(office):
    async with office.serving():
        asked = office.asks("remind me in 2 seconds to drink water")
        proposed = await office.answered(asked, "I understood", "drink water")
        office.ann.clicks(proposed, "Yes, post these words")
        await office.answered(asked, "Saved as")
        posted = await office.answered(asked, "A reminder of", "drink water")
        assert office.ann.id in posted.text
        office.ann.clicks(posted, "In 10 minutes")
        await office.answered(asked, "I say it again at")


async def test_a_reminder_for_a_channel_by_name_stands_in_it_and_is_answered_there(office):
    payments = office.slack.channel(office.team, "payments", office.ann, office.bot.user)
    async with office.serving():
        asked = office.asks(f"remind <#{payments.id}|payments> in 2 seconds stand-up")
        proposed = await office.answered(asked, "I understood")
        office.ann.clicks(proposed, "Yes, post these words")
        await office.slack.until(lambda: in_channel(office, payments, "stand-up"))
        (posted,) = in_channel(office, payments, "stand-up")
        office.ann.says(payments, f"{office.bot.user.mention} reminders", thread=posted)
        await office.slack.until(
            lambda: [
                one
                for one in payments.messages
                if one.thread_ts == posted.ts and one.only_for is office.ann
                if "You have no reminder" in one.text
            ]
        )
        # The thread below the post is the session's in which the reminder was set.
        assert await office.town.value("SELECT count(*) FROM session") == 1


async def test_nobody_reminds_a_channel_that_they_are_not_in(office):
    office.slack.channel(office.team, "payments", office.bo, office.bot.user)
    async with office.serving():
        office.asks("remind #payments in 2 seconds stand-up")
        await office.heard()
    assert await office.town.value("SELECT count(*) FROM reminder") == 0


def alone_with(office, person, *words: str):
    """Posts of the bot in its direct messages with somebody that say these words."""
    channel = office.slack.direct(person, office.bot.user)
    return in_channel(office, channel, *words)


async def proposed_in(office, channel, whom: str):
    """Ann asks for a reminder in a channel where Bo does not read; what she wrote."""
    office.asks("help", by=office.bo)
    await office.heard()
    mention = office.bot.user.mention
    asked = office.ann.says(channel, f"{mention} remind {whom} every day at 9 stand-up")
    await office.slack.until(
        lambda: [one for one in channel.thread(asked.place) if "I understood" in one.text]
    )
    return asked


async def saved_and_due(office, channel, asked):
    """Ann says yes to what was proposed, and it is due."""
    short = await office.town.value("SELECT short FROM reminder")
    office.ann.says(channel, f"{office.bot.user.mention} reminders yes {short}", thread=asked)
    await due_now(office)


def form_of(person, **values: object):
    """What is sent of the form that a person sees: a moment, or words."""
    (view,) = person.modals
    given = {
        "ona.at": {"type": "datetimepicker", "selected_date_time": values.get("at")},
        "ona.words": {"type": "plain_text_input", "value": values.get("words")},
    }
    return person.submits(view, {name: {name: one} for name, one in given.items()})


async def test_who_does_not_read_here_is_reminded_alone(office):
    payments = office.slack.channel(office.team, "payments", office.ann, office.bot.user)
    async with office.serving():
        asked = await proposed_in(office, payments, "me and @bo")
        await saved_and_due(office, payments, asked)

        def here():
            return [one for one in payments.thread(asked.place) if "A reminder of" in one.text]

        await office.slack.until(
            lambda: alone_with(office, office.bo, "stand-up", "A reminder of") and here()
        )
        (posted,) = here()
        assert office.ann.id in posted.text


async def test_a_reply_to_what_came_alone_goes_on_in_its_session(office):
    town = office.town
    payments = office.slack.channel(office.team, "payments", office.ann, office.bot.user)
    async with office.serving():
        asked = await proposed_in(office, payments, "@bo")
        await saved_and_due(office, payments, asked)
        await office.slack.until(lambda: alone_with(office, office.bo, "stand-up"))
        (posted,) = alone_with(office, office.bo, "stand-up")
        office.ann.says(payments, f"{office.bot.user.mention} what is open?", thread=asked)
        await office.heard()
        await ended(town, TurnState.SUCCEEDED, "nothing")
        alone = office.slack.direct(office.bo, office.bot.user)
        office.bo.says(alone, "who takes part?", thread=posted)
        await office.heard()
        office.bo.says(alone, "and now to something else")
        await office.heard()
    here, there, elsewhere = await town.rows(
        "SELECT prompt.session_id, thread.place FROM prompt"
        " JOIN thread ON thread.id = prompt.thread_id ORDER BY prompt.id"
    )
    assert there[0] == here[0] != elsewhere[0]
    assert there[1] != here[1]
    behind = "SELECT replied_to <= event_last FROM thread JOIN session ON session.id = session_id"
    assert await town.value(f"{behind} WHERE place = :place", place=there[1])


async def test_who_is_reminded_alone_is_told_nothing_of_the_session_s_other_turns(office):
    town = office.town
    payments = office.slack.channel(office.team, "payments", office.ann, office.bot.user)
    async with office.serving():
        asked = await proposed_in(office, payments, "@bo")
        office.ann.says(payments, f"{office.bot.user.mention} run all the tests", thread=asked)
        await office.heard()
        await ended(town, TurnState.FAILED, "it can't be done")
        await office.slack.until(
            lambda: [one for one in payments.thread(asked.place) if "can't be done" in one.text]
        )
        assert not alone_with(office, office.bo, "asked for something")
    assert await town.value("SELECT count(*) FROM thread WHERE place LIKE '%~%'") == 1
    written = "SELECT count(*) FROM reply JOIN thread ON thread.id = reply.thread_id"
    assert await town.value(f"{written} WHERE thread.place LIKE '%~%'") == 0


async def test_everybody_of_a_list_who_reads_here_is_notified_in_one_post(office):
    async with office.serving():
        office.asks("help", by=office.bo)
        await office.heard()
        asked = office.asks("remind me, @bo every day at 9 stand-up")
        proposed = await office.answered(asked, "I understood")
        office.ann.clicks(proposed, "Yes, post these words")
        await due_now(office)
        posted = await office.answered(asked, "A reminder of", "stand-up")
        assert office.ann.id in posted.text
        assert office.bo.id in posted.text


async def test_who_is_reminded_alone_stops_it_by_its_button(office):
    payments = office.slack.channel(office.team, "payments", office.ann, office.bot.user)
    async with office.serving():
        asked = await proposed_in(office, payments, "me and @bo")
        await saved_and_due(office, payments, asked)
        await office.slack.until(lambda: alone_with(office, office.bo, "stand-up"))
        (posted,) = alone_with(office, office.bo, "stand-up")
        office.bo.clicks(posted, "Stop it")
        await office.slack.until(
            lambda: [one for one in payments.thread(asked.place) if "bo gets the" in one.text]
        )
        await due_now(office)
        await office.slack.until(
            lambda: (
                len([one for one in payments.thread(asked.place) if "A reminder of" in one.text])
                == 2
            )
        )
        assert len(alone_with(office, office.bo, "A reminder of")) == 1


async def test_who_has_left_a_channel_reminds_it_no_more_and_is_told(office):
    payments = office.slack.channel(office.team, "payments", office.ann, office.bo, office.bot.user)
    async with office.serving():
        asked = office.asks("remind #payments every day at 9 stand-up")
        proposed = await office.answered(asked, "I understood")
        office.ann.clicks(proposed, "Yes, post these words")
        await office.answered(asked, "Saved as")
        office.slack.leaves(payments, office.ann)
        await due_now(office)
        await office.slack.until(lambda: alone_with(office, office.ann, "is paused", "stand-up"))
        assert not in_channel(office, payments, "stand-up")
        rows = await office.town.rows("SELECT state, why FROM schedule")
        assert rows == [("paused", "member")]


async def test_one_is_put_off_to_a_time_that_is_chosen(office):
    async with office.serving():
        asked = office.asks("remind me every day at 9 to drink water")
        proposed = await office.answered(asked, "I understood")
        office.ann.clicks(proposed, "Yes, post these words")
        await due_now(office)
        posted = await office.answered(asked, "A reminder of", "drink water")
        office.ann.clicks(posted, "Another time")
        await office.slack.until(lambda: office.ann.modals)
        answer = await form_of(office.ann).answer()
        assert answer["response_action"] == "errors"
        office.ann.clicks(posted, "Another time")
        await office.slack.until(lambda: office.ann.modals)
        form_of(office.ann, at=1893488400)
        await office.answered(asked, "I say it again at", "2030-01-01")
        office.ann.clicks(posted, "Another time")
        await office.slack.until(lambda: office.ann.modals)
        form_of(office.ann, words="2029-12-24 9:00")
        await office.answered(asked, "I say it again at", "2029-12-24")


async def test_times_are_shown_in_the_zone_of_whoever_reads_them(office):
    office.ann.tz = "Europe/Berlin"
    async with office.serving():
        asked = office.asks("remind me on 2029-07-31 at 14:30 to drink water")
        proposed = await office.answered(asked, "I understood", "time zone Europe/Berlin")
    seconds = int(datetime(2029, 7, 31, 12, 30, tzinfo=UTC).timestamp())
    assert shown(proposed.text).dates == ((seconds, "{date_num} {time}"),)
    dates = [one for one in section_of(proposed) if one["type"] == "date"]
    assert [(one["timestamp"], one["fallback"]) for one in dates] == [
        (seconds, "2029-07-31 12:30 UTC")
    ]


def section_of(message):
    """What the rich text of a post is made of."""
    return [each for part in message.blocks[0]["elements"] for each in part["elements"]]


@pytest.mark.parametrize("when", ["tomorrow at 3", "mañana a las 9", "明日 9時", "21:30 domani"])
async def test_a_time_that_can_t_be_read_is_asked_back_with_a_date_picker(office, when):
    async with office.serving():
        asked = office.asks(f"remind me {when} to drink water")
        await office.slack.until(
            lambda: [one for one in office.general.messages if one.only_for is office.ann]
        )
        (hint,) = [one for one in office.general.messages if one.only_for is office.ann]
        assert await office.town.value("SELECT count(*) FROM reminder") == 0
        office.ann.clicks(hint, "Choose the time")
        await office.slack.until(lambda: office.ann.modals)
        form_of(office.ann, at=1893488400)
        await office.answered(asked, "I understood", "2030-01-01", "drink water")
    assert await office.town.value("SELECT count(*) FROM prompt") == 0
    assert await office.town.value("SELECT what FROM reminder") == "drink water"
