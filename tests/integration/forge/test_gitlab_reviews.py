"""Threads of a review on a session's merge request are prompts of it, like a review on GitHub."""

from collections.abc import AsyncIterator

import pytest

from adapters.forge.gitlab.polling import GitLabPolling
from adapters.forge.gitlab.reading import Reader
from bot.conversation.hearing import Chats
from bot.conversation.inbox import Inbox
from bot.govern.rights import Rights
from tests.fakes.gitlab import DEVELOPER
from tests.fakes.gitlab.world import Noteable
from tests.integration.conftest import Town
from tests.integration.forge.gitlab_rig import (
    Ears,
    KeptCursors,
    Receiver,
    Shop,
    open_shop,
    receiving,
)

LINE = "Review of the merge request, `src/pay.py`, line 3:\n\nRounds the wrong way."
THREAD = "Review of the merge request:\n\nIs that tested?"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        yield shop


@pytest.fixture
async def receiver(shop: Shop) -> AsyncIterator[Receiver]:
    async with receiving(shop, secret="s") as receiver:
        yield receiver


class Both:
    """What is heard by webhook and by asking."""

    def __init__(self, shop: Shop, receiver: Receiver) -> None:
        self.shop, self.receiver, self.ears = shop, receiver, Ears()

        async def names() -> list[str]:
            return [shop.project.path]

        self.poller = GitLabPolling(shop.client, Reader(shop.client), names, KeptCursors())

    async def begin(self) -> None:
        await self.poller.once(self.ears.hear)
        self.shop.gitlab.clock.skip(200)

    async def heard(self) -> list[list]:
        """By each way."""
        hooks = self.shop.gitlab.hooks
        await self.shop.gitlab.until(lambda: all(one.status for one in hooks.all))
        assert {one.status for one in hooks.all} <= {204}
        await self.poller.once(self.ears.hear)
        return [self.receiver.ears.said, self.ears.said]


@pytest.fixture
async def both(shop: Shop, receiver: Receiver) -> Both:
    both = Both(shop, receiver)
    await both.begin()
    return both


def ours(shop: Shop) -> Noteable:
    return shop.ann.opens(shop.project, branch="ona/s-1")


async def test_what_begins_a_thread_is_heard_with_where_it_stands(shop: Shop, both: Both) -> None:
    request = ours(shop)
    line = shop.bo.says(request, "Rounds the wrong way.", at=("src/pay.py", 3))
    thread = shop.bo.says(request, "Is that tested?", begins=True)
    for said in await both.heard():
        assert {one.text for one in said} == {LINE, THREAD}
        assert {one.key for one in said} == {f"reviewed/{line.id}", f"reviewed/{thread.id}"}
        for one in said:
            assert (one.spot.place, one.spot.branch) == (request.place, "ona/s-1")
            assert (one.to_us, one.begins, one.author.name) == (True, False, "bo")


async def test_what_is_no_review_of_ours_is_not_heard(shop: Shop, both: Both) -> None:
    request, other = ours(shop), shop.ann.opens(shop.project, branch="work")
    fork = shop.gitlab.project("bo/api", {shop.bo: DEVELOPER}, visibility="public")
    foreign = shop.bo.opens(shop.project, branch="ona/s-1", source=fork)
    robot = shop.gitlab.person("robot", is_bot=True)
    shop.bo.says(request, "LGTM")
    shop.bo.says(other, "Of another branch", at=("a", 1))
    shop.bo.says(foreign, "From elsewhere", at=("a", 1))
    shop.bo.says(request, "Between us", begins=True, internal=True)
    shop.us.says(request, "By ourselves", begins=True)
    robot.says(request, "Coverage fell", at=("a", 1))
    begun = shop.bo.says(request, "/ona mend it", at=("a", 1))
    shop.bo.says(begun, "or not?")
    for said in await both.heard():
        assert [(one.key, one.text) for one in said] == [(f"note/{begun.id}", "mend it")]


async def test_an_answer_in_a_thread_and_an_edit_of_it_are_no_news(shop: Shop, both: Both) -> None:
    begun = shop.bo.says(ours(shop), "Rounds the wrong way.", at=("src/pay.py", 3))
    shop.ann.says(begun, "It does not.")
    shop.bo.says(begun, "Ah.")
    for said in await both.heard():
        assert [one.key for one in said] == [f"reviewed/{begun.id}"]
    shop.bo.edits(begun, "Rounds the wrong way!")
    for said in await both.heard():
        assert {one.key for one in said} == {f"reviewed/{begun.id}"}


async def test_it_joins_the_session_of_its_branch_and_is_one_prompt(
    town: Town, shop: Shop, receiver: Receiver
) -> None:
    await town.rows(
        "UPDATE project SET repository_url = :url RETURNING id", url=shop.project.clone_url
    )
    rights = Rights(town.database, {"gitlab": shop.forge})
    inbox = Inbox(town.database, prompt_bytes_max=100_000, rights=rights)
    chats = Chats(town.database, inbox, {"gitlab": shop.forge}, mention="ona")
    receiver.ears.hear = chats.hear
    shop.ann.says(ours(shop), "Too slow.", at=("src/pay.py", 3))
    await _settled(shop)
    assert await town.rows("SELECT 1 FROM session") == []
    await town.say("mend it")
    branch = await town.value("SELECT branch FROM session")
    request = shop.ann.opens(shop.project, branch=branch)
    shop.bo.says(request, "Too slow.", at=("src/pay.py", 3))
    await _settled(shop)
    shop.bo.says(request, "And wrong.", at=("src/pay.py", 9))
    await _settled(shop)
    prompts = await town.rows(
        "SELECT string_agg(delivery.text, '|' ORDER BY delivery.event) FROM prompt"
        " JOIN delivery ON delivery.prompt_id = prompt.id GROUP BY prompt.position"
        " ORDER BY prompt.position"
    )
    assert [said for (said,) in prompts] == [
        "mend it",
        "Review of the merge request, `src/pay.py`, line 3:\n\nToo slow.|"
        "Review of the merge request, `src/pay.py`, line 9:\n\nAnd wrong.",
    ]
    assert await town.value("SELECT count(*) FROM session") == 1


async def _settled(shop: Shop) -> None:
    await shop.gitlab.until(lambda: all(one.status for one in shop.gitlab.hooks.all))
