"""One reply that can't be made or sent ends nothing and keeps no other waiting."""

import asyncio

from sqlalchemy import text
from structlog.testing import capture_logs

from adapters.chat.port import Rate
from bot.conversation.outbox import Outbox
from bot.conversation.replies import Replies
from tests.fakes.chat import FakeChat
from tests.integration.outbox.rig import SURFACE, Office, running

BROKEN = ("session.cleared", {"name": "Ann", "count": "many"})
"""No count: nobody can put it into words."""


async def test_a_span_that_cannot_be_rendered_waits_and_every_other_thread_is_told(office, port):
    other = await Office.open(office.database)
    await office.thread("acct/broken")
    await other.thread("acct/fine")
    await office.happen(BROKEN)
    replies = Replies(office.database, {SURFACE: port}, poll_seconds=0.01)
    stop = asyncio.Event()
    with capture_logs() as logged:
        async with asyncio.TaskGroup() as group:
            group.create_task(replies.run(stop))
            for number in range(1, 6):
                await other.happen(("notice", {"text": f"n{number}"}))
                await other.until("true", number)
            stop.set()
    assert [row.body for row in await other.replies("acct/fine")] == [f"n{n}" for n in range(1, 6)]
    assert await office.replies("acct/broken") == []
    assert 1 <= [line["event"] for line in logged].count("thread_failed") <= 2


async def test_a_thread_that_failed_goes_on_where_it_was_once_it_can(office, port):
    await office.thread("acct/t")
    last = await office.happen(BROKEN)
    assert await Replies(office.database, {SURFACE: port}).once() == 0
    await office.do(
        'UPDATE turn_event SET body = \'{"name": "Ann", "count": 2}\' WHERE number = :last',
        last=last,
    )
    assert await Replies(office.database, {SURFACE: port}).once() == 1
    assert [row.body for row in await office.replies()] == ["Ann took 2 prompts out of the queue."]


async def test_a_statement_that_fails_once_does_not_end_the_sender(office, sending):
    one = sending()
    key = await office.reply("hello")
    await office.do("ALTER TABLE reply RENAME COLUMN due_at TO due_then")
    try:
        with capture_logs() as logged:
            async with running(one.outbox):
                async with asyncio.timeout(100):
                    while not any(line["event"] == "outbox_failed" for line in logged):
                        await asyncio.sleep(0.01)
                await office.do("ALTER TABLE reply RENAME COLUMN due_then TO due_at")
                await office.until("state = 'sent'", 1)
    finally:
        async with office.database.begin() as tx:
            await tx.execute(
                text(
                    "DO $$ BEGIN ALTER TABLE reply RENAME COLUMN due_then TO due_at;"
                    " EXCEPTION WHEN undefined_column THEN NULL; END $$"
                )
            )
    assert (await office.row(key)).state == "sent"


class Unreadable(FakeChat):
    """A surface that can't make anything of one address."""

    def installation(self, place: str) -> str:
        """The account."""
        if place == "nowhere":
            raise ValueError(f"{place} has no account")
        return super().installation(place)


async def test_an_address_that_cannot_be_read_keeps_no_other_waiting(office, server):
    port = Unreadable(server.url, rates={"post": Rate(per_second=1000, burst=100)})
    await office.reply("lost", place="nowhere")
    key = await office.reply("hello")
    await Outbox(office.database, {SURFACE: port}, sender="s").once()
    assert (await office.row(key)).state == "sent"
    await port.close()
