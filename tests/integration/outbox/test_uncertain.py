"""Invariants 1 and 3 of replies: looked up before any re-post; who lost one stores nothing."""

import asyncio

import pytest

from adapters.chat.port import AfterUncertain
from bot.conversation.outbox import Outbox
from bot.conversation.outgoing import Outgoing, Times
from tests.fakes.chat import Bad, FakeChat
from tests.integration.outbox.rig import AN_HOUR, SURFACE, Sending


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


@pytest.mark.parametrize(
    ("later_seconds", "state", "posts"), [(60, "sent", 2), (AN_HOUR, "failed", 1)]
)
async def test_a_mark_that_is_known_for_a_while_only_is_not_posted_again_later(
    office, server, later_seconds, state, posts
):
    key = await office.reply("hello")
    port = FakeChat(server.url, after_uncertain=AfterUncertain.POST_AGAIN, again_seconds=120.0)
    outbox = Outbox(office.database, {SURFACE: port}, sender="s")
    server.behave("post", Bad(drop_answer=True))
    await outbox.once()
    await office.pass_time(later_seconds)
    await outbox.once()
    assert (await office.row(key)).state == state
    assert len(server.posts) == posts
    await port.close()


class Hanging(FakeChat):
    """A port that forgets its deadline."""

    async def post(self, place, content, mark, deadline):
        await asyncio.Event().wait()


async def test_a_call_that_forgets_its_deadline_is_cut_off(office, server):
    key = await office.reply("hello")
    port = Hanging(server.url)
    outbox = Outbox(
        office.database, {SURFACE: port}, sender="s", lease_seconds=30, send_seconds=0.2
    )
    async with asyncio.timeout(100):
        assert await outbox.once() == 1
    row = await office.row(key)
    assert (row.state, row.error) == ("sending", "no answer in time")
    await port.close()


async def test_fenced_a_late_sender_stores_nothing_over_its_successor(office, server, sending):
    key = await office.reply("hello")
    late, next_one = [
        Outgoing(office.database, SURFACE, sending().port, sender=name, times=Times())
        for name in ("late", "next")
    ]
    first = await late.take()
    await office.do("UPDATE reply SET sender_until = now() - interval '1 second'")
    second = await next_one.take()
    assert first.id == second.id
    values = {
        "wording": 1,
        "ref": "r",
        "pause_seconds": 0,
        "old_seconds": None,
        "old_pause_seconds": 0,
        "again_seconds": None,
        "error": "e",
        "seconds": 0,
    }
    for name in ("store_sent", "store_found", "store_unsent", "store_uncertain", "store_failed"):
        await late.store(name, first, "sent", **values, counts=True)
        row = await office.row(key)
        assert (row.state, row.sender, row.posted_ref) == ("sending", second.sender, None), name
    await next_one.store("store_sent", second, "sent", **values)
    assert (await office.row(key)).state == "sent"
