"""Asking GitLab what happens: only for what is wanted, and no further than it has to."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from adapters.chat.port import Unavailable
from adapters.forge.gitlab.event_polling import PAGES_MAX, GitLabEvents
from adapters.forge.gitlab.happening import EventReader
from adapters.forge.happened import LOOK_BACK_SECONDS_MAX
from tests.fakes.gitlab import OWNER, Bad, payloads
from tests.fakes.gitlab.happening import Deeds
from tests.fakes.gitlab.world import LabelEvent
from tests.integration.forge.gitlab_rig import Ears, KeptCursors, Shop, open_shop


class Desk:
    """Who looks at one project."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.deeds = shop, Deeds(shop.gitlab)
        self.kinds = {"pull_request", "push", "issue_labelled", "ci_failed"}
        self.cursors, self.ears = KeptCursors(), Ears()
        self.looks = self.new()

    def new(self, **more) -> GitLabEvents:
        reader = EventReader(self.shop.client, self.wanted, **more)
        return GitLabEvents(self.shop.client, reader, self.cursors)

    async def wanted(self) -> dict[str, frozenset[str]]:
        return {self.shop.project.path: frozenset(self.kinds)}

    async def look(self, at: datetime | None = None) -> None:
        said = payloads.project(self.shop.project)
        now = at or self.shop.gitlab.clock.now()
        await self.looks.look(self.shop.project.path, said, now, self.ears.hear)

    @property
    def keys(self) -> list[str]:
        return [one.key for one in self.ears.all]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_shop() as shop:
        desk = Desk(shop)
        await desk.look()
        yield desk


async def test_only_what_is_wanted_is_asked_for(desk: Desk) -> None:
    asked = {}
    rest = desk.shop.gitlab.rest
    for kind in ("pull_request", "push", "issue_labelled", "ci_failed", ""):
        desk.kinds = {kind}
        rest.requests.clear()
        await desk.look()
        asked[kind] = {name for name, _ in rest.requests}
    assert asked == {
        "pull_request": {"noteables.list", "versions.list", "notes.list"},
        "push": {"events.list"},
        "issue_labelled": {"noteables.list"},
        "ci_failed": {"pipelines.list"},
        "": set(),
    }


async def test_another_process_goes_on_where_one_ended(desk: Desk) -> None:
    request = desk.deeds.opens(desk.shop.ann, desk.shop.project)
    desk.looks = desk.new()
    await desk.look()
    assert desk.keys == [f"pull_request/{request.iid}/opened"]


async def test_what_could_not_be_heard_is_heard_by_the_next_look(desk: Desk) -> None:
    commits = [desk.deeds.commits(desk.shop.ann, desk.shop.project) for _ in range(3)]
    desk.ears.deaf = RuntimeError("the database is away")
    with pytest.raises(RuntimeError):
        await desk.look()
    desk.shop.gitlab.bad.behave("events.list", Bad(status=502))
    with pytest.raises(Unavailable):
        await desk.look()
    await desk.look()
    assert [one.commit for one in desk.ears.all] == commits


async def test_what_happened_too_long_ago_is_not_made_up_for(desk: Desk) -> None:
    desk.deeds.commits(desk.shop.ann, desk.shop.project)
    desk.shop.gitlab.clock.skip(LOOK_BACK_SECONDS_MAX + 60)
    late = desk.deeds.commits(desk.shop.ann, desk.shop.project)
    await desk.look()
    assert [one.commit for one in desk.ears.all] == [late]


async def test_no_more_pages_are_read(desk: Desk) -> None:
    issue = desk.shop.ann.reports(desk.shop.project)
    desk.deeds.labels(desk.shop.ann, issue, "bug")
    (given,) = issue.label_events
    issue.label_events = [
        LabelEvent(id=number, user=given.user, label="bug", created_at=given.created_at)
        for number in range(100 * (PAGES_MAX + 1))
    ]
    await desk.look()
    assert len(desk.keys) == 100 * PAGES_MAX


async def test_a_confidential_issue_starts_nothing(desk: Desk) -> None:
    issue = desk.shop.ann.reports(desk.shop.project, confidential=True)
    desk.deeds.labels(desk.shop.ann, issue, "bug")
    await desk.look()
    assert desk.keys == []


async def test_forks_are_foreign_unless_they_are_allowed(desk: Desk) -> None:
    fork = desk.shop.gitlab.project("bo/api", {desk.shop.bo: OWNER}, visibility="public")
    request = desk.deeds.opens(desk.shop.bo, desk.shop.project, source=fork)
    await desk.look()
    desk.looks = desk.new(forks=True)
    await desk.look()
    assert desk.keys == [f"pull_request/{request.iid}/opened"] * 2
    assert [one.foreign for one in desk.ears.all] == [True, False]


async def test_what_we_do_ourselves_and_what_bots_do_says_so(desk: Desk) -> None:
    robot = desk.shop.gitlab.person("robot")
    desk.looks = desk.new(bots=["@Robot"])
    for person in (desk.shop.us, robot, desk.shop.ann):
        desk.deeds.opens(person, desk.shop.project, branch=person.username)
    await desk.look()
    assert [(one.by_us, one.author.standing) for one in desk.ears.all] == [
        (True, "bot"),
        (False, "bot"),
        (False, "member"),
    ]
