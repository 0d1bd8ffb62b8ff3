"""Reminders on Slack, with its buttons, in threads and in channels."""

import pytest

from tests.integration.chat.slack_rig import open_office


@pytest.fixture
async def office(town):
    async with open_office(town) as office:
        yield office


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
                for one in payments.thread(posted.place)
                if one.is_reply and "reminder" in one.text and one.author is office.bot.user
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
