"""What a deleted session leaves in its threads: no button, and no sign that it waits."""

import pytest

from adapters.chat.port import Sign, Throttled
from bot.conversation.closing import Closing
from bot.work import deleting
from bot.work.control import Actor
from tests.fakes.chat import Bad
from tests.integration.outbox.rig import SURFACE
from tests.integration.outbox.test_reactions import ReactingChat, pass_on, queue

LEFT = "SELECT count(*) FROM tombstone_post"
BUTTONS = '[{"label": "Stop", "says": "stop"}]'


async def delete(town, office):
    async with town.database.begin() as tx:
        by = Actor(id=town.people["Bo"], name="Bo *the* @all")
        await deleting.delete(tx, office.session_id, by)


async def close(town, port, *, calm_seconds=0.0):
    await Closing(town.database, {SURFACE: port}, calm_seconds=calm_seconds).once()


async def test_a_live_message_says_that_its_session_is_gone_and_loses_its_buttons(
    town, office, server, sending
):
    sender = sending()
    await office.reply("an answer", kind="answer")
    ended = await office.reply("running", kind="live", final=False)
    await office.reply("working", kind="live", final=False)
    await office.reply("in another thread", place="acct/u", kind="live", final=False)
    await office.do("UPDATE reply SET buttons = CAST(:buttons AS jsonb)", buttons=BUTTONS)
    await sender.once()
    await office.reply("done", key=ended, kind="live", final=True)
    await sender.once(later_seconds=5)
    await delete(town, office)
    await close(town, sender.port, calm_seconds=60)
    assert server.texts("acct/u") == ["in another thread"]
    await close(town, sender.port)
    gone = f"Bo *the* @all deleted session s-{office.session_id.hex[-8:]}."
    assert server.texts("acct/t") == ["an answer", "done", gone]
    assert server.texts("acct/u") == [gone]
    edits = len(server.requests)
    await close(town, sender.port)
    assert (len(server.requests), await town.value(LEFT)) == (edits, 0)


async def test_a_live_message_that_was_under_way_is_looked_up(town, office, server, sending):
    sender = sending()
    await office.reply("working", kind="live", final=False)
    server.behave("post", Bad(drop_answer=True))
    await sender.once()
    assert await office.count("state = 'sending' AND posted_ref IS NULL") == 1
    await delete(town, office)
    await close(town, sender.port)
    assert server.posts[0].text.endswith(f"deleted session s-{office.session_id.hex[-8:]}.")


async def test_what_was_never_posted_is_not_posted_after_all(town, office, server, sending):
    await office.reply("working", kind="live", final=False)
    await delete(town, office)
    await close(town, sending().port)
    assert (server.posts, await town.value(LEFT)) == ([], 0)


@pytest.mark.parametrize("trouble", [[], [Throttled(1.0)]])
async def test_the_sign_at_a_prompt_that_waited_is_taken_away(town, office, trouble):
    port = ReactingChat()
    await queue(office, ref="7:x")
    await pass_on(office, port)
    assert port.calls == [("acct/t", "7:x", Sign.SEEN)]
    await delete(town, office)
    port.trouble = list(trouble)
    for _ in range(1 + len(trouble)):
        await close(town, port)
    assert port.calls[1:] == [("acct/t", "7:x", None)]
    await close(town, port)
    assert len(port.calls) == 2
    await port.close()
