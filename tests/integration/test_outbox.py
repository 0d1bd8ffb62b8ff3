"""The sender on a real database and a surface behind HTTP: once, in order, within budgets."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from adapters.chat.port import AfterUncertain, Rate
from adapters.chat.terminal import TerminalChat
from bot.conversation.attempt import ATTEMPTS_MAX
from bot.conversation.outbox import Outbox
from bot.store.database import Database, Listener
from tests.fakes.chat import Bad, ChatServer, FakeChat
from tests.integration.outbox_rig import SURFACE, Office

AN_HOUR = 3_600.0


@pytest.fixture
async def office(town) -> Office:
    return await Office.open(town.database)


@pytest.fixture
async def server():
    async with ChatServer() as server:
        yield server


class Sending:
    """A sender of the fake surface."""

    def __init__(self, office: Office, server: ChatServer, **port) -> None:
        self.office = office
        self.port = FakeChat(server.url, **port)
        self.outbox = Outbox(office.database, {SURFACE: self.port}, sender="test")

    async def once(self, *, later_seconds: float = 0) -> int:
        if later_seconds:
            await self.office.pass_time(later_seconds)
        return await self.outbox.once()


@pytest.fixture
async def sending(office, server):
    made = []

    def make(**port) -> Sending:
        made.append(Sending(office, server, **port))
        return made[-1]

    yield make
    for one in made:
        await one.port.close()


@asynccontextmanager
async def running(*outboxes: Outbox):
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for outbox in outboxes:
            group.create_task(outbox.run(stop))
        try:
            yield stop
        finally:
            stop.set()


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


async def test_a_live_message_keeps_a_pause_and_one_edit_stands_for_all_that_came_meanwhile(
    office, server, sending
):
    key = await office.reply("0", kind="live", final=False)
    await sending().once()
    for number in range(1, 6):
        await office.reply(str(number), key=key, kind="live", final=False)
        await sending().once()
    assert server.posts[0].texts == ["0"]
    await sending().once(later_seconds=3)
    assert server.posts[0].texts == ["0", "5"]


async def test_the_last_wording_of_a_live_message_does_not_wait(office, server, sending):
    key = await office.reply("0", kind="live", final=False)
    await sending().once()
    await office.reply("1", key=key, kind="live", final=False)
    await office.reply("done", key=key, kind="live", final=True)
    await sending().once()
    assert server.posts[0].texts == ["0", "done"]


RATES = {"post": Rate(burst=10, per_second=0.01), "edit": Rate(burst=5, per_second=0.01)}


async def test_what_is_final_is_delivered_though_the_budget_of_live_edits_is_empty(
    office, server, sending
):
    sender = sending(rates=RATES)
    live = [await office.reply("0", place=f"acct/{n}", kind="live", final=False) for n in range(6)]
    await sender.once()
    for _ in range(8):
        for number, key in enumerate(live):
            wording = f"{_} of {number}"
            await office.reply(wording, place=f"acct/{number}", key=key, kind="live", final=False)
        await sender.once(later_seconds=3)
    edits = sum(len(post.texts) - 1 for post in server.posts)
    assert 0 < edits < 5
    waiting = await office.count("state = 'pending' AND kind = 'live'")
    assert waiting > 0
    last = live.index((await _oldest_waiting(office)).key)
    await office.reply("over", place=f"acct/{last}", key=live[last], kind="live", final=True)
    await office.reply("the answer", place=f"acct/{last}", kind="answer")
    await sender.once()
    assert server.texts(f"acct/{last}") == ["over", "the answer"]
    assert await office.count("state = 'pending' AND kind = 'live'") == waiting - 1


async def _oldest_waiting(office: Office):
    for place in office.threads:
        for row in await office.replies(place):
            if row.state == "pending" and row.kind == "live":
                return row
    raise AssertionError("none waits")


async def test_no_more_is_sent_than_the_surface_allows_and_nothing_is_lost(office, server, sending):
    sender = sending(rates={"post": Rate(burst=3, per_second=1)})
    for number in range(10):
        await office.reply(str(number), place=f"acct/{number}")
    await office.reply("other account", place="other/t")
    await sender.once()
    assert len([one for one in server.posts if one.place.startswith("acct")]) == 3
    assert server.texts("other/t") == ["other account"]
    seconds = 0
    while len(server.posts) < 11:
        await sender.once(later_seconds=2)
        seconds += 2
        assert len(server.posts) <= 4 + 3 + seconds
        assert seconds < 60
    assert await office.count("state = 'sent'") == 11


async def test_what_is_final_goes_before_what_is_live(office, server, sending):
    sender = sending(rates={"post": Rate(burst=1, per_second=1)})
    await office.reply("live", place="acct/1", kind="live", final=False)
    await office.reply("answer", place="acct/2", kind="answer")
    await sender.once()
    assert [post.text for post in server.posts] == ["answer"]


async def test_a_throttled_reply_and_all_of_its_account_wait_as_long_as_told(
    office, server, sending
):
    sender = sending(rates={"post": Rate(burst=10, per_second=1)})
    first = await office.reply("one", place="acct/1")
    server.behave("post", Bad(throttle_seconds=100))
    await sender.once()
    row = await office.row(first)
    assert (row.state, row.attempts, row.posted_ref) == ("pending", 0, None)
    assert "throttled" in row.error
    await office.reply("two", place="acct/2")
    await office.reply("three", place="other/3")
    await sender.once()
    await sender.once(later_seconds=90)
    assert [post.text for post in server.posts] == ["three"]
    await sender.once(later_seconds=60)
    assert sorted(post.text for post in server.posts) == ["one", "three", "two"]
    methods = [method for method, _ in server.requests]
    assert "history" not in methods


@pytest.mark.parametrize("bad", [Bad(error=True), Bad(drop=True), Bad(drop_answer=True)])
async def test_answered_once_after_an_uncertain_failure_it_is_looked_up_first(
    office, server, sending, bad
):
    key = await office.reply("hello")
    server.behave("post", bad)
    sender = sending()
    await sender.once()
    assert (await office.row(key)).state == "sending"
    assert await sender.once() == 0
    await sender.once(later_seconds=AN_HOUR)
    assert (await office.row(key)).state == "sent"
    assert [post.texts for post in server.posts] == [["hello"]]
    assert server.requests[1][0] == "history"


async def test_a_post_found_again_gets_the_newest_wording(office, server, sending):
    key = await office.reply("old")
    server.behave("post", Bad(drop_answer=True))
    await sending().once()
    await office.reply("new", key=key)
    await sending().once(later_seconds=AN_HOUR)
    assert [post.texts for post in server.posts] == [["old", "new"]]


async def test_a_lookup_that_fails_posts_nothing(office, server, sending):
    await office.reply("hello")
    server.behave("post", Bad(drop_answer=True))
    server.behave("history", Bad(error=True), Bad(throttle_seconds=5), Bad(drop=True))
    sender = sending()
    for _ in range(4):
        await sender.once(later_seconds=AN_HOUR)
    assert len(server.posts) == 1
    await sender.once(later_seconds=AN_HOUR)
    assert len(server.posts) == 1
    assert await office.count("state = 'sent'") == 1


async def test_where_nothing_can_be_looked_up_an_uncertain_reply_is_posted_at_most_once(
    office, server, sending
):
    key = await office.reply("hello")
    server.behave("post", Bad(drop=True))
    sender = sending(after_uncertain=AfterUncertain.GIVE_UP)
    await sender.once()
    await sender.once(later_seconds=AN_HOUR)
    row = await office.row(key)
    assert row.state == "failed"
    assert "may or may not have been posted" in row.error
    assert [method for method, _ in server.requests] == ["post"]


async def test_where_nothing_can_be_looked_up_a_surface_that_was_away_is_tried_again(
    office, server, sending
):
    key = await office.reply("hello")
    away = Sending(office, server, after_uncertain=AfterUncertain.GIVE_UP)
    away.port._url = "http://127.0.0.1:1"
    await away.once()
    assert (await office.row(key)).state == "pending"
    await away.port.close()
    await sending(after_uncertain=AfterUncertain.GIVE_UP).once(later_seconds=AN_HOUR)
    assert server.texts("acct/t") == ["hello"]


async def test_a_thread_that_is_gone_fails_with_the_reason_and_holds_up_no_other(
    office, server, sending
):
    server.gone.add("acct/t")
    keys = [await office.reply("hello"), await office.reply("again")]
    await office.reply("elsewhere", place="acct/u")
    await sending().once()
    for key in keys:
        row = await office.row(key)
        assert (row.state, row.error) == ("failed", "there is no such thread")
    assert server.texts("acct/u") == ["elsewhere"]


async def test_a_reply_is_given_up_after_its_attempts_and_says_why(office, server, sending):
    key = await office.reply("hello")
    sender = sending()
    sender.port._url = "http://127.0.0.1:1"
    for _ in range(ATTEMPTS_MAX):
        assert await sender.once(later_seconds=AN_HOUR) == 1
    assert (await office.row(key)).state == "pending"
    await sender.once(later_seconds=AN_HOUR)
    row = await office.row(key)
    assert row.state == "failed"
    assert "too many attempts" in row.error


async def test_a_muted_thread_gets_no_post_but_the_end_of_what_stands_there(
    office, server, sending
):
    live = await office.reply("working", kind="live", final=False)
    await sending().once()
    await office.do("UPDATE thread SET muted = true")
    await office.reply("done", key=live, kind="live", final=True)
    answer = await office.reply("the answer", kind="answer")
    await sending().once()
    assert server.texts("acct/t") == ["done"]
    row = await office.row(answer)
    assert row.state == "failed"
    assert "muted" in row.error
    await office.do("UPDATE thread SET muted = false")
    await sending().once(later_seconds=AN_HOUR)
    assert server.texts("acct/t") == ["done"]


async def test_a_live_message_that_was_never_posted_is_not_posted_after_its_turn(
    office, server, sending
):
    key = await office.reply("working", kind="live", final=False)
    server.behave("post", Bad(throttle_seconds=1))
    await sending().once()
    await office.reply("done", key=key, kind="live", final=True)
    await office.reply("the answer", kind="answer")
    await sending().once(later_seconds=AN_HOUR)
    assert server.texts("acct/t") == ["the answer"]
    assert (await office.row(key)).state == "failed"


async def test_fenced_who_lost_a_reply_stores_nothing(office, server, sending):
    key = await office.reply("hello")
    hold = asyncio.Event()
    server.behave("post", Bad(answer_wait=hold))
    late = asyncio.create_task(sending().once())
    await server.until(lambda: len(server.posts) == 1)
    await sending().once(later_seconds=AN_HOUR)
    found = await office.row(key)
    assert found.state == "sent"
    await office.reply("new", key=key)
    hold.set()
    await late
    await sending().once()
    row = await office.row(key)
    assert (row.state, row.wording_sent) == ("sent", 2)
    assert server.posts[0].texts == ["hello", "new"]
    assert len(server.posts) == 1


async def test_fenced_a_late_refusal_does_not_undo_what_a_successor_did(office, server, sending):
    key = await office.reply("hello")
    hold = asyncio.Event()
    server.behave("post", Bad(wait=hold))
    late = asyncio.create_task(sending().once())
    await office.until("state = 'sending'", 1)
    await sending().once(later_seconds=AN_HOUR)
    assert (await office.row(key)).state == "sent"
    server.gone.add("acct/t")
    hold.set()
    await late
    row = await office.row(key)
    assert (row.state, row.error, row.posted_ref) == ("sent", None, server.posts[0].ref)


class Hanging(FakeChat):
    """A port that forgets its deadline."""

    async def post(self, place, text, mark, deadline):
        await asyncio.Event().wait()


async def test_a_call_that_forgets_its_deadline_is_cut_off(office, server):
    key = await office.reply("hello")
    port = Hanging(server.url)
    outbox = Outbox(
        office.database, {SURFACE: port}, sender="s", lease_seconds=30, send_seconds=0.2
    )
    async with asyncio.timeout(10):
        assert await outbox.once() == 1
    row = await office.row(key)
    assert (row.state, row.error) == ("sending", "no answer in time")
    await port.close()


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
    async with running(sending().outbox) as stop:
        await server.until(lambda: len(server.posts) == 1)
        stop.set()
        hold.set()
    assert [row.state for row in await office.replies()] == ["sent", "pending"]


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
    listener = Listener(database_url)
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
