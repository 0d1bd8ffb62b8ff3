"""Replies that a thread does not get: why its row keeps, and whether the session is told."""

import asyncio

from adapters.chat.port import AfterUncertain
from bot.conversation.attempt import ATTEMPTS_MAX
from tests.fakes.chat import Bad
from tests.integration.outbox.rig import AN_HOUR, Office


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


async def test_a_thread_that_takes_nothing_is_told_of_once_and_not_tried_for_ever(
    office, server, sending, replies
):
    await office.thread("acct/u")
    server.gone.add("acct/t")
    for text in ("one", "two", "three"):
        await office.reply(text)
        await sending().once()
    said = "A fake thread of this session did not get a reply: there is no such thread"
    assert await office.told() == [f"{said}; the reply is on the session's page."]
    await replies.once()
    await sending().once(later_seconds=AN_HOUR)
    assert [said in text for text in server.texts("acct/u")] == [True]
    assert len(await office.replies()) == 3
    tried = len(server.requests)
    await replies.once()
    assert await sending().once(later_seconds=AN_HOUR) == 0
    assert (len(server.requests), len(await office.told())) == (tried, 1)


async def test_a_thread_that_comes_back_and_goes_again_is_told_of_again(office, server, sending):
    for text, gone in (("one", True), ("two", False), ("three", True)):
        (server.gone.add if gone else server.gone.discard)("acct/t")
        await office.reply(text)
        await sending().once()
    assert len(await office.told()) == 2


async def test_a_text_that_a_surface_never_takes_is_told_to_the_session_of_its_turn(
    town, office, server, sending
):
    turn = await office.turn("acct/t")
    other = await Office.open(town.database)
    key = await office.reply("hello", turn_id=turn)
    await office.do("UPDATE thread SET session_id = :other", other=other.session_id)
    server.behave("post", Bad(refused="no such words here"))
    await sending().once()
    row = await office.row(key)
    assert (row.state, row.error) == ("failed", "no such words here")
    (told,) = await office.told()
    assert "no such words here" in told
    assert await other.told() == []


async def test_what_was_given_up_is_told_and_what_was_meant_is_not(office, server, sending):
    await office.reply("uncertain", place="acct/u")
    server.behave("post", Bad(drop=True))
    unsure = sending(after_uncertain=AfterUncertain.GIVE_UP)
    await unsure.once()
    await unsure.once(later_seconds=AN_HOUR)
    await office.reply("quiet")
    await office.do("UPDATE thread SET muted = true WHERE place = 'acct/t'")
    await sending().once()
    assert await office.count("state = 'failed'") == 2
    (told,) = await office.told()
    assert "may or may not have been posted" in told


async def test_a_post_that_somebody_deleted_is_no_news(office, server, sending):
    key = await office.reply("one")
    await sending().once()
    server.gone.add("acct/t")
    await office.reply("two", key=key)
    await sending().once()
    assert (await office.row(key)).state == "failed"
    assert await office.told() == []


async def test_fenced_who_lost_a_reply_tells_nothing_of_its_refusal(office, server, sending):
    await office.reply("hello")
    hold = asyncio.Event()
    server.behave("post", Bad(wait=hold))
    late = asyncio.create_task(sending().once())
    await office.until("state = 'sending'", 1)
    await sending().once(later_seconds=AN_HOUR)
    server.gone.add("acct/t")
    hold.set()
    await late
    assert await office.told() == []
