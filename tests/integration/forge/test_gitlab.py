"""Listening to GitLab by asking, and by both ways at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.chat.incoming import Reacted, Reworded, Said, Withdrawn
from adapters.chat.port import Throttled
from adapters.forge.gitlab.polling import GitLabPolling
from adapters.forge.gitlab.reading import Reader
from tests.fakes.gitlab import DEVELOPER, OWNER, Bad
from tests.integration.forge.gitlab_rig import Ears, KeptCursors, Shop, open_shop, receiving


class Poll:
    """A poller with ears of its own."""

    def __init__(self, shop: Shop, *repositories: str, cursors: KeptCursors | None = None) -> None:
        self.shop = shop
        self.ears = Ears()
        self.cursors = cursors or KeptCursors()
        self.repositories = list(repositories) or ["acme/api"]
        self.poller = self.restarted()

    def restarted(self) -> GitLabPolling:
        """As another process would begin."""
        self.poller = GitLabPolling(
            self.shop.client, Reader(self.shop.client), self._names, self.cursors, seconds=0.05
        )
        return self.poller

    async def look(self) -> None:
        await self.poller.once(self.ears.hear)

    async def _names(self) -> list[str]:
        return self.repositories


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        yield shop


@pytest.fixture
async def poll(shop) -> Poll:
    """It has looked once, and begins at that time."""
    poll = Poll(shop)
    await poll.look()
    shop.gitlab.clock.skip(200)
    return poll


async def test_what_was_said_before_the_first_look_is_not_heard(shop):
    shop.ann.says(shop.request, "/ona long ago")
    shop.gitlab.clock.skip(300)
    shop.ann.says(shop.request, "/ona a moment ago")
    shop.gitlab.clock.skip(2)
    poll = Poll(shop)
    await poll.look()
    shop.gitlab.clock.skip(2)
    await poll.look()
    await poll.look()
    assert poll.ears.all == []
    shop.ann.says(shop.request, "/ona now")
    await poll.look()
    assert poll.ears.texts == ["now"]


async def test_a_request_is_heard_once_for_each_of_its_wordings(shop, poll):
    note = shop.ann.says(shop.request, "/ona one")
    for _ in range(2):
        await poll.look()
    shop.ann.edits(note, "/ona two")
    for _ in range(2):
        await poll.look()
    shop.ann.edits(note, "never mind")
    await poll.look()
    assert [type(one) for one in poll.ears.all] == [Said, Said, Reworded, Withdrawn]
    assert {one.key for one in poll.ears.all} == {f"note/{note.id}"}


async def test_an_older_note_that_begins_to_ask_is_not_its_authors_word(shop, poll):
    note = shop.ann.says(shop.request, "Hm")
    await poll.look()
    shop.gitlab.clock.skip(200)
    await poll.look()
    shop.bo.edits(note, "/ona delete everything")
    await poll.look()
    assert [type(one) for one in poll.ears.all] == [Reworded]


async def test_both_ways_say_the_same(shop, poll):
    issue = shop.ann.reports(shop.project)
    fork = shop.gitlab.project("bo/api", {shop.bo: OWNER}, visibility="public")
    foreign = shop.bo.opens(shop.project, source=fork)
    async with receiving(shop, secret="s") as receiver:
        shop.ann.says(shop.request, "/ona alone")
        first = shop.ann.says(shop.request, "Hm", begins=True)
        shop.bo.says(first, "/ona in a discussion")
        shop.ann.says(issue, "/ona hush alone", internal=True)
        hushed = shop.ann.says(issue, "/ona hush", internal=True, begins=True)
        shop.bo.says(hushed, "/ona hush too")
        shop.ann.says(shop.ann.reports(shop.project, confidential=True), "/ona psst")
        shop.ann.says(foreign, "@ona-bot from a fork")
        shop.us.says(issue, "/ona we ourselves")
        shop.ann.says(issue, "not for us")
        shop.ann.awards(shop.us.says(issue, "Done."), "x")
        await shop.gitlab.until(lambda: all(one.status for one in shop.gitlab.hooks.all))
        await poll.look()
    told, asked = receiver.ears, poll.ears
    assert len(told.said) == 8
    narrow = [one.text for one in told.said if one.spot.narrow]
    assert sorted(narrow) == ["hush", "hush alone", "hush too", "psst"]
    assert without_delivery(told.said) == without_delivery(asked.said)
    reactions = [[one for one in ears.all if isinstance(one, Reacted)] for ears in (told, asked)]
    assert reactions[0] == reactions[1] != []


async def test_what_was_said_in_a_gap_is_caught_up_with(shop, poll):
    await poll.look()
    for hour in range(3):
        shop.gitlab.clock.skip(3600)
        shop.ann.says(shop.request, f"/ona {hour}")
        shop.bo.says(shop.bo.reports(shop.project), f"/ona issue {hour}")
    poll.restarted()
    await poll.look()
    assert sorted(poll.ears.texts) == ["0", "1", "2", "issue 0", "issue 1", "issue 2"]
    assert [one for one in poll.ears.texts if len(one) == 1] == ["0", "1", "2"]


async def test_more_than_a_page_of_everything_is_read(shop, poll):
    requests = [shop.ann.opens(shop.project) for _ in range(120)]
    for number in range(120):
        shop.ann.says(requests[0], f"/ona {number}")
    shop.bo.says(requests[-1], "/ona last")
    await poll.look()
    assert sorted(poll.ears.texts) == sorted([*map(str, range(120)), "last"])


async def test_a_note_within_a_minute_of_another_is_heard(shop, poll):
    shop.ann.says(shop.request, "/ona one")
    await poll.look()
    marked = shop.request.updated_at
    for seconds in (30, 25):
        shop.gitlab.clock.skip(seconds)
        shop.ann.says(shop.request, f"/ona after {seconds}")
        await poll.look()
    assert shop.request.updated_at == marked
    assert poll.ears.texts == ["one", "after 30", "after 25"]


async def test_the_cursor_moves_when_everything_was_heard(shop, poll):
    before = dict(poll.cursors.kept)
    shop.ann.says(shop.request, "/ona one")
    shop.bo.says(shop.request, "/ona two")
    poll.ears.deaf = RuntimeError("the database is away")
    await poll.look()
    assert (poll.ears.texts, poll.cursors.kept) == ([], before)
    poll.restarted()
    await poll.look()
    assert poll.ears.texts == ["one", "two"]
    assert poll.cursors.kept != before


async def test_a_stop_sign_is_seen_where_we_spoke_though_nothing_tells_of_it(shop, poll):
    ours = shop.us.says(shop.request, "Done.")
    await poll.look()
    for _ in range(3):
        shop.gitlab.clock.skip(600)
        await poll.look()
    award = shop.ann.awards(ours, "raised_hand")
    shop.bo.awards(ours, "tada")
    for _ in range(2):
        await poll.look()
    assert [one.delivery for one in poll.ears.all] == [f"award/{award.id}"]


async def test_a_stop_sign_is_seen_at_what_was_asked_before_we_have_spoken(shop, poll):
    asked = shop.ann.says(shop.request, "/ona one")
    await poll.look()
    for _ in range(3):
        shop.gitlab.clock.skip(600)
        await poll.look()
    award = shop.ann.awards(asked, "octagonal_sign")
    for _ in range(2):
        await poll.look()
    stops = [one.delivery for one in poll.ears.all if isinstance(one, Reacted)]
    assert stops == [f"award/{award.id}"]


async def test_one_repository_in_trouble_keeps_no_other_waiting(shop):
    shop.gitlab.project("acme/web", {shop.ann: DEVELOPER, shop.us: DEVELOPER})
    poll = Poll(shop, "acme/nothing", "acme/api", "acme/web")
    await poll.look()
    assert len(poll.cursors.kept) == 2
    shop.ann.says(shop.request, "/ona one")
    web = shop.gitlab.projects[-1]
    shop.ann.says(shop.ann.reports(web), "/ona two")
    shop.gitlab.bad.behave("noteables.list", Bad(status=500))
    await poll.look()
    assert poll.ears.texts == ["two"]
    await poll.look()
    assert poll.ears.texts == ["two", "one"]


async def test_who_is_throttled_waits(shop, poll):
    shop.gitlab.bad.behave("projects.show", Bad(throttle_seconds=30))
    with pytest.raises(Throttled):
        await poll.look()
    await poll.look()


async def test_system_notes_are_nobodys_words(shop, poll):
    shop.gitlab.notes.system(shop.request, shop.ann, "/ona changed the description")
    await poll.look()
    assert poll.ears.all == []


async def test_it_runs_until_it_is_stopped_and_gets_over_what_fails(shop, poll):
    stop = asyncio.Event()
    shop.gitlab.bad.behave("projects.show", Bad(drop=True), Bad(status=502))
    running = asyncio.create_task(poll.poller.run(poll.ears.hear, stop))
    shop.ann.says(shop.request, "/ona one")
    await shop.gitlab.until(lambda: shop.gitlab.rest.asked("notes.list") > 1)
    stop.set()
    await running
    assert poll.ears.texts == ["one"]


def without_delivery(said: list[Said]) -> list[tuple]:
    return sorted((one.key, one.ref, one.text, str(one.spot), str(one.author)) for one in said)
