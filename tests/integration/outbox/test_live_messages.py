"""Live messages: paced, replaced by their newest wording, ended with the turn."""

from dataclasses import replace

from tests.fakes.chat import Bad
from tests.integration.outbox.rig import AN_HOUR


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


async def test_a_surface_that_wants_longer_pauses_gets_them(office, server, sending):
    sender = sending(edit_seconds=20)
    key = await office.reply("0", kind="live", final=False)
    await sender.once()
    await office.reply("1", key=key, kind="live", final=False)
    await sender.once(later_seconds=15)
    assert server.posts[0].texts == ["0"]
    await sender.once(later_seconds=6)
    assert server.posts[0].texts == ["0", "1"]


async def test_an_old_live_message_is_edited_less_often(office, server, sending):
    sender = sending()
    sender.port.limits = replace(sender.port.limits, old_seconds=3600, old_edit_seconds=30)
    key = await office.reply("0", kind="live", final=False)
    await sender.once()
    await office.do("UPDATE reply SET created_at = created_at - interval '1 hour'")
    await office.reply("1", key=key, kind="live", final=False)
    await sender.once(later_seconds=AN_HOUR)
    await office.reply("2", key=key, kind="live", final=False)
    await sender.once(later_seconds=25)
    assert server.posts[0].texts == ["0", "1"]
    await sender.once(later_seconds=6)
    assert server.posts[0].texts == ["0", "1", "2"]


async def test_the_last_wording_of_a_live_message_does_not_wait(office, server, sending):
    key = await office.reply("0", kind="live", final=False)
    await sending().once()
    await office.reply("1", key=key, kind="live", final=False)
    await office.reply("done", key=key, kind="live", final=True)
    await sending().once()
    assert server.posts[0].texts == ["0", "done"]


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
