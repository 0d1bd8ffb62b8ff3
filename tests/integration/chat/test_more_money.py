"""A session's budget is used up: its thread in Slack is asked; who may not press is told alone."""

from collections.abc import AsyncIterator

import pytest

from bot.words.catalogue import gettext as _
from bot.work import questions
from bot.work.asked import Question
from tests.integration.chat.slack_rig import Office, open_office

LIMIT = "SELECT extra_micro FROM budget WHERE kind = 'session'"


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


async def waits_for_money(office, text: str):
    """Bo's session, whose turn waits until somebody decides: its message, the question's post."""
    asked = office.asks(text, by=office.bo)
    await office.heard()
    queue = office.town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    (owner,) = await office.town.rows("SELECT creator_id FROM session")
    more = _("Continue with {more} more", more="5.00")
    question = Question(
        key="budget:1",
        text=_(
            "Used {spent} of {limit} USD, and the next request to the model may cost up to {cost}."
            " Continue with {more} more?",
            spent="4.21",
            limit="5.00",
            cost="0.96",
            more="5.00",
        ),
        choices=(more, _("Stop")),
        permitted=set(owner),
        closed=True,
        extends_micro=5_000_000,
    )
    async with office.town.database.begin() as tx:
        assert await questions.put(tx, lease, turn.id, question, seconds=600)
    return asked, await office.answered(asked, "Used 4.21 of 5.00 USD")


async def test_who_opened_the_session_presses_and_nobody_else(office):
    async with office.serving():
        _, post = await waits_for_money(office, "fix it")
        office.ann.clicks(post, "Continue with 5.00 more")
        await office.slack.until(
            lambda: any(
                one.only_for is office.ann and "Only who opened this session" in one.text
                for one in office.general.messages
            )
        )
        assert await office.town.rows(LIMIT) == []
        office.bo.clicks(post, "Continue with 5.00 more")
        await office.slack.until(lambda: "bo answered: Continue with 5.00 more" in post.text)
    assert await office.town.rows(LIMIT) == [(5_000_000,)]
    assert await office.town.rows("SELECT state FROM session") == [("queued",)]
    assert await office.town.value("SELECT count(*) FROM prompt") == 1


async def test_whoever_writes_it_decides_too(office):
    async with office.serving():
        asked, post = await waits_for_money(office, "fix it")
        office.bo.says(office.general, "stop it all, please", thread=asked)
        await office.slack.until(
            lambda: any(
                one.only_for is office.bo and "Continue with 5.00 more" in one.text
                for one in office.general.messages
            )
        )
        office.bo.says(office.general, "2", thread=asked)
        await office.slack.until(lambda: "answered: Stop" in post.text)
    assert await office.town.rows(LIMIT) == []
    assert await office.town.rows("SELECT state FROM session") == [("queued",)]
