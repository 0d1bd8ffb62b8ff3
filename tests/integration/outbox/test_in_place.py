"""A quick answer takes the place of the live message, if that stands in the thread for certain."""

import pytest

from bot.conversation.replies import Replies
from tests.integration.outbox.rig import SURFACE

STARTED = ("turn.started", {"prompt": "p"})
OUTPUT = ("output", {"text": "42\n"})
QUICK = ("turn.ended", {"outcome": "succeeded", "seconds": 3.0})


async def rows(office):
    return [(row.kind, "42" in row.body) for row in await office.replies()]


async def take(office):
    await office.do("UPDATE reply SET state = 'sending', sender = 's', sender_until = now()")


async def begin(office, port):
    await office.thread("acct/t")
    await office.happen(STARTED, OUTPUT)
    await Replies(office.database, {SURFACE: port}, live_seconds=0).once()


async def test_a_live_message_that_stands_becomes_the_answer(office, port):
    await begin(office, port)
    await take(office)
    await office.do("UPDATE reply SET state = 'sent', posted_ref = '7', attempts = 0")
    await office.happen(QUICK)
    await Replies(office.database, {SURFACE: port}).once()
    assert await rows(office) == [("live", True)]


@pytest.mark.parametrize(
    "how",
    [
        "state = 'pending', attempts = 1",
        "state = 'sending', attempts = 1, sender = 's', sender_until = now()",
        "state = 'failed', error = 'gone'",
        "state = 'failed', error = 'gone', posted_ref = '7'",
    ],
)
async def test_one_that_may_not_stand_leaves_the_answer_to_a_post_of_its_own(office, port, how):
    await begin(office, port)
    if "pending" not in how:
        await take(office)
    await office.do(f"UPDATE reply SET {how}")
    await office.happen(QUICK)
    await Replies(office.database, {SURFACE: port}).once()
    assert ("answer", True) in await rows(office)


async def test_without_a_live_message_there_is_only_the_answer(office, port):
    await office.thread("acct/t")
    await office.happen(STARTED, OUTPUT, QUICK)
    await Replies(office.database, {SURFACE: port}).once()
    assert await rows(office) == [("answer", True)]
