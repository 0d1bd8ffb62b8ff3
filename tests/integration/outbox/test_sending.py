"""The sender on a real database and a surface behind HTTP: once, in order, at once."""

import asyncio

import pytest

from adapters.chat.port import Rate
from adapters.chat.terminal import TerminalChat
from bot.conversation.outbox import Outbox
from bot.metrics import SENDER
from bot.store.database import EVENTS, OUTBOX, Database, Listener
from tests.fakes.chat import Bad, ChatServer, FakeChat
from tests.integration.outbox.rig import SURFACE, Office, running


async def test_a_reply_is_posted_with_its_mark_and_kept_as_sent(office, server, sending):
    key = await office.reply("hello *you* @ann")
    assert await sending().once() == 1
    row = await office.row(key)
    assert (row.state, row.wording_sent, row.sender, row.attempts) == ("sent", 1, None, 0)
    assert server.posts[0].ref == row.posted_ref
    assert server.posts[0].mark == str(row.id)
    assert server.texts("acct/t") == ["hello *you* @ann"]
    assert await sending().once() == 0


async def test_a_new_wording_is_an_edit_of_the_same_post(office, server, sending):
    key = await office.reply("one")
    await sending().once()
    await office.reply("one", key=key)
    assert await sending().once() == 0
    await office.reply("two", key=key)
    assert await sending().once() == 1
    assert server.posts[0].texts == ["one", "two"]
    assert len(server.posts) == 1


async def test_answered_once_two_senders_at_once_never_double(
    office, server, database_url, sending
):
    places = [f"acct/t{n}" for n in range(8)]
    for number in range(4):
        for place in places:
            await office.reply(f"{number}", place=place)
    other = Database(database_url)
    ports = [FakeChat(server.url), FakeChat(server.url)]
    senders = [
        Outbox(database, {SURFACE: port}, sender=f"s{number}", poll_seconds=0.1)
        for number, (database, port) in enumerate(zip([office.database, other], ports, strict=True))
    ]
    async with running(*senders):
        await office.until("state = 'sent'", 32)
    assert len(server.posts) == 32
    for place in places:
        assert server.texts(place) == ["0", "1", "2", "3"]
    for port in ports:
        await port.close()
    await other.close()


async def test_posts_of_a_thread_keep_their_order_when_the_first_must_wait(office, server, sending):
    for text in ("one", "two", "three"):
        await office.reply(text)
    await office.reply("elsewhere", place="acct/u")
    server.behave("post", Bad(throttle_seconds=30))
    await sending().once()
    assert server.texts("acct/t") == []
    assert server.texts("acct/u") == ["elsewhere"]
    await sending().once(later_seconds=40)
    assert server.texts("acct/t") == ["one", "two", "three"]


async def test_a_wording_that_changes_during_a_post_is_sent_after_it(office, server, sending):
    key = await office.reply("before")
    hold = asyncio.Event()
    server.behave("post", Bad(answer_wait=hold))
    posting = asyncio.create_task(sending().once())
    await server.until(lambda: len(server.posts) == 1)
    await office.reply("after", key=key)
    assert (await office.row(key)).state == "sending"
    hold.set()
    await posting
    await sending().once()
    assert server.posts[0].texts == ["before", "after"]
    row = await office.row(key)
    assert (row.state, row.wording, row.wording_sent) == ("sent", 2, 2)


async def test_no_network_inside_a_transaction_none_is_open_while_a_surface_is_spoken_to(
    town, office, server, sending
):
    await office.reply("hello")
    hold = asyncio.Event()
    server.behave("post", Bad(answer_wait=hold))
    posting = asyncio.create_task(sending().once())
    await server.until(lambda: len(server.posts) == 1)
    assert (
        await town.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
            " AND backend_type LIKE 'client%'"
        )
        == 0
    )
    hold.set()
    await posting


async def test_a_slow_surface_keeps_no_other_waiting(office, server, sending):
    quick = sending().port
    async with ChatServer() as slow_server:
        hold = asyncio.Event()
        slow_server.behave("post", *(Bad(wait=hold) for _ in range(20)))
        slow = FakeChat(slow_server.url)
        await office.thread("slow/t", surface="slow")
        for number in range(20):
            await office.thread(f"slow/{number}", surface="slow")
            await office.reply("x", place=f"slow/{number}")
        outbox = Outbox(
            office.database, {"slow": slow, SURFACE: quick}, sender="s", slots=4, poll_seconds=0.2
        )
        async with running(outbox):
            await office.until("state = 'sending'", 4)
            await office.reply("quick")
            await server.until(lambda: len(server.posts) == 1)
            hold.set()
        await slow.close()


async def test_a_stop_ends_what_is_under_way_and_takes_nothing_more(office, server, sending):
    hold = asyncio.Event()
    server.behave("post", Bad(answer_wait=hold))
    await office.reply("one")
    await office.reply("two")
    await office.reply("three")
    async with running(sending().outbox) as stop:
        await server.until(lambda: len(server.posts) == 1)
        stop.set()
        hold.set()
    # A take that was under way still counts as such.
    assert [row.state for row in await office.replies()][::2] == ["sent", "pending"]


async def test_a_database_that_goes_away_during_a_post_is_waited_out(office, server, sending):
    hold = asyncio.Event()
    server.behave("post", Bad(answer_wait=hold))
    key = await office.reply("hello")
    posting = asyncio.create_task(sending().once())
    await server.until(lambda: len(server.posts) == 1)
    admin = Database(office.database.url)
    other = Office(database=admin, session_id=office.session_id)
    await other.do(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    hold.set()
    await posting
    assert (await other.row(key)).state == "sent"
    assert len(server.posts) == 1
    await admin.close()


async def test_a_hint_is_enough_to_send_at_once(office, server, database_url):
    listener = Listener(database_url, EVENTS, OUTBOX)
    listening = asyncio.create_task(listener.run())
    port = FakeChat(server.url)
    outbox = Outbox(
        office.database, {SURFACE: port}, sender="s", listener=listener, poll_seconds=600
    )
    await listener.listening.wait()
    async with running(outbox):
        await office.until("true", 0)
        await office.reply("hello")
        await office.do("SELECT pg_notify('ona_outbox', '')")
        await server.until(lambda: len(server.posts) == 1)
    listening.cancel()
    await port.close()


async def test_a_pulled_reply_is_shown_by_its_row(office):
    await office.thread("somewhere", surface="terminal")
    await office.reply("hello", place="somewhere")
    outbox = Outbox(office.database, {"terminal": TerminalChat()}, sender="s")
    assert await outbox.once() == 1
    assert [row.state for row in await office.replies("somewhere")] == ["sent"]


async def test_replies_of_surfaces_that_are_not_here_are_left_alone(office):
    key = await office.reply("hello")
    assert await Outbox(office.database, {"web": TerminalChat()}, sender="s").once() == 0
    assert (await office.row(key)).state == "pending"


async def test_a_call_may_not_last_as_long_as_the_reply_is_held(office):
    with pytest.raises(ValueError, match="send_seconds"):
        Outbox(office.database, {}, sender="s", lease_seconds=5, send_seconds=5)


async def test_a_reply_goes_first_to_the_thread_of_the_prompt_that_asked(office, server, sending):
    sender = sending(rates={"post": Rate(burst=1, per_second=1)})
    places = [f"acct/{n}" for n in range(4)]
    turn = await office.turn("acct/2")
    for place in places:
        await office.reply("the answer", place=place, kind="answer", turn_id=turn)
    for _ in range(12):
        await sender.once(later_seconds=1)
    assert sorted(post.place for post in server.posts) == places
    assert server.posts[0].place == "acct/2"


async def test_whoever_sends_says_how_long_the_oldest_reply_waits(office, server, sending):
    def age() -> float:
        """Of whichever sender of this process looked last."""
        return SENDER.get_sample_value("ona_outbox_age_seconds", {"surface": SURFACE}) or 0

    hold = asyncio.Event()
    server.behave("post", Bad(wait=hold))
    await office.reply("hello")
    await office.do("UPDATE reply SET created_at = created_at - interval '1 hour'")
    async with running(sending().outbox):
        async with asyncio.timeout(100):
            while not 3_600 <= age() < 7_200:
                await asyncio.sleep(0.01)
        hold.set()
        await office.until("state = 'sent'", 1)
    async with running(sending().outbox), asyncio.timeout(100):
        while age():
            await asyncio.sleep(0.01)
