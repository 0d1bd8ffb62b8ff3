"""Talking to ona on a merge request: everything is real but GitLab itself and the machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from adapters.forge.gitlab.polling import GitLabPolling
from adapters.forge.gitlab.port import GitLabForge
from adapters.forge.gitlab.reading import Reader
from bot.conversation.hearing import Chats
from bot.conversation.inbox import Inbox
from bot.conversation.outbox import Outbox
from bot.conversation.replies import Replies
from bot.govern.rights import Rights
from bot.store.database import EVENTS, OUTBOX, Listener
from tests.fakes.gitlab import GUEST, OWNER, Bad
from tests.integration.conftest import Town
from tests.integration.forge.gitlab_rig import KeptCursors, Shop, open_shop, receiving
from tests.support.shift import Shift, until


@pytest.fixture
async def shop(town: Town) -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        await town.rows(
            "UPDATE project SET repository_url = :url RETURNING id", url=shop.project.clone_url
        )
        yield shop


@asynccontextmanager
async def serving(town: Town, shop: Shop) -> AsyncIterator[Chats]:
    """Hear by webhook, and send replies."""
    database, stop = town.database, asyncio.Event()
    shop.forge.limits = replace(GitLabForge.limits, edit_seconds=0.1)
    ports = {"gitlab": shop.forge}
    inbox = Inbox(database, prompt_bytes_max=100_000, rights=Rights(database, ports))
    chats = Chats(database, inbox, ports, mention="ona")
    listener = Listener(database.url, EVENTS, OUTBOX)
    async with receiving(shop, secret="s") as receiver, asyncio.TaskGroup() as group:
        receiver.ears.hear = chats.hear
        listening = group.create_task(listener.run())
        await listener.listening.wait()
        replies = Replies(database, ports, listener=listener, live_seconds=0.1)
        outbox = Outbox(
            database, ports, sender="s", listener=listener, lease_seconds=5, send_seconds=4
        )
        group.create_task(replies.run(stop))
        group.create_task(outbox.run(stop))
        try:
            yield chats
        finally:
            stop.set()
            listening.cancel()


async def answered(shop: Shop, *words: str, count: int = 1) -> None:
    """Wait until so many notes of ours have these words in them."""

    def found() -> bool:
        ours = [one.body for one in shop.request.by(shop.us)]
        return sum(all(word in body for word in words) for body in ours) == count

    await shop.gitlab.until(found)


async def test_a_request_is_answered_on_its_merge_request(town, shop, places, tmp_path):
    places.door.clear()
    go = tmp_path / "go"
    async with serving(town, shop), Shift(town, places, "w"):
        waits = f"until [ -e {go} ]; do sleep 0.1; done"
        asked = shop.ann.says(shop.request, f"/ona !echo hello from the machine; {waits}")
        await shop.gitlab.until(lambda: asked.awarded(shop.us) == ["eyes"])
        places.door.set()
        await shop.gitlab.until(
            lambda: shop.project.statuses and shop.project.statuses[-1].status == "running"
        )
        go.touch()
        await answered(shop, "hello from the machine", "Done")
        await shop.gitlab.until(
            lambda: shop.project.statuses and shop.project.statuses[-1].status == "success"
        )
        await shop.gitlab.until(lambda: asked.awarded(shop.us) == [])
    assert {one.name for one in shop.project.statuses} == {"ona"}
    assert shop.gitlab.rest.asked("notes.create") == 1


async def test_answered_once_whatever_happens_to_the_note(town, shop, places):
    shop.gitlab.bad.behave("notes.create", Bad(answer_status=502), Bad(drop=True))
    async with serving(town, shop), Shift(town, places, "w"):
        shop.ann.says(shop.request, "/ona !echo one")
        await answered(shop, "one", "Done")
        shop.ann.says(shop.request, "/ona !echo two")
        await answered(shop, "two", "Done")
    assert len(shop.request.by(shop.us)) == 2


async def test_answered_once_what_is_heard_by_webhook_and_by_asking(town, shop, places):
    cursors = KeptCursors()

    async def repositories():
        return ["acme/api"]

    poller = GitLabPolling(shop.client, Reader(shop.client), repositories, cursors)
    async with serving(town, shop) as chats, Shift(town, places, "w"):
        await poller.once(chats.hear)
        shop.ann.says(shop.request, "/ona !echo one")
        await answered(shop, "one", "Done")
        await poller.once(chats.hear)
        shop.project.hooks.clear()
        shop.ann.says(shop.request, "/ona !echo two")
        await poller.once(chats.hear)
        await answered(shop, "two", "Done")
    assert await town.value("SELECT count(*) FROM prompt") == 2


async def test_who_may_not_ask_gets_a_sign_and_bots_get_nothing(town, shop, places):
    fork = shop.gitlab.project("bo/api", {shop.bo: OWNER}, visibility="public")
    foreign = shop.bo.opens(shop.project, source=fork)
    robot = shop.gitlab.person("robot", is_bot=True)
    shop.project.members |= {shop.bo: GUEST, robot: OWNER}
    async with serving(town, shop):
        from_fork = shop.ann.says(foreign, "/ona !true")
        for_bots = [one.says(shop.request, "/ona !true") for one in (robot, shop.us)]
        by_guest = shop.bo.says(shop.request, "/ona !true")
        await shop.gitlab.until(lambda: from_fork.awarded(shop.us) == ["confused"])
        await shop.gitlab.until(lambda: all(one.status for one in shop.gitlab.hooks.all))
        await shop.gitlab.until(lambda: by_guest.awarded(shop.us) == ["confused"])
    assert len(shop.request.by(shop.us)) == 1
    assert [one.awards for one in for_bots] == [[], []]
    assert await town.value("SELECT count(*) FROM prompt") == 0


async def test_a_stop_sign_at_a_note_of_ours_stops_what_runs(town, shop, places):
    async with serving(town, shop), Shift(town, places, "w"):
        shop.ann.says(shop.request, "/ona !echo one")
        await answered(shop, "one", "Done")
        shop.ann.says(shop.request, "/ona !echo two; sleep 60")
        turns = "SELECT state FROM turn ORDER BY id"
        await until(town, turns, lambda found: found == [("succeeded",), ("running",)])
        shop.ann.awards(shop.request.by(shop.us)[0], "octagonal_sign")
        await answered(shop, "Stopped")
