"""Asking GitHub what happens: what it costs, and how far it reaches."""

import pytest

from adapters.forge.github.event_polling import COMMITS_MAX, PAGES_MAX, GitHubEvents
from adapters.forge.github.happening import EventReader
from tests.fakes.github import Bad
from tests.integration.forge.github_rig import Ears, Kept

ALL = frozenset({"pull_request", "push", "issue_labelled", "ci_failed"})


class Wishes:
    """What somebody wants to hear of in one repository."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kinds = ALL

    async def ask(self) -> dict[str, frozenset[str]]:
        return {self.name: self.kinds} if self.kinds else {}


@pytest.fixture
def wishes(shop) -> Wishes:
    return Wishes(shop.name)


@pytest.fixture
def make(app, wishes):
    """Makes who looks, with cursors that may be another's."""

    def make(cursors: Kept) -> GitHubEvents:
        return GitHubEvents(app, EventReader(app, wishes.ask), cursors)

    return make


async def test_nothing_new_costs_nothing(github, shop, make) -> None:
    looks, ears = make(Kept()), Ears()
    await looks.look(shop.name, ears.hear)
    await shop.write(github.ann)
    pull = await shop.pull(by=github.ann)
    await looks.look(shop.name, ears.hear)
    await looks.look(shop.name, ears.hear)
    spent = github.limits.spent.total()
    github.requests.clear()
    await looks.look(shop.name, ears.hear)
    assert {status for _, _, status in github.requests} == {304}
    assert github.limits.spent.total() == spent
    await pull.push()
    before = len(ears.heard)
    await looks.look(shop.name, ears.hear)
    assert [one.kind for one in ears.heard[before:]] == ["push", "pull_request"]


async def test_only_what_is_wanted_is_asked_for(github, shop, make, wishes) -> None:
    looks, ears = make(Kept()), Ears()
    asked = {}
    for kinds in ((), ("push",), ("issue_labelled",), ("ci_failed",), ("pull_request",)):
        wishes.kinds = frozenset(kinds)
        github.requests.clear()
        await looks.look(shop.name, ears.hear)
        head = f"/repos/{shop.name}"
        asked[kinds] = {
            path.removeprefix(head) for _, path, _ in github.requests if path.startswith(head)
        } - {"", "/installation"}
    assert asked == {
        (): set(),
        ("push",): {"/activity"},
        ("issue_labelled",): {"/issues/events"},
        ("ci_failed",): {"/activity", "/commits/main/check-runs", "/commits/main/status"},
        ("pull_request",): {"/activity", "/issues/events", "/pulls"},
    }


async def test_another_process_goes_on_where_one_ended(github, shop, make) -> None:
    cursors, ears = Kept(), Ears()
    await make(cursors).look(shop.name, Ears().hear)
    commit = await shop.write(github.ann)
    await make(cursors).look(shop.name, ears.hear)
    assert [one.commit for one in ears.heard] == [commit]


async def test_what_could_not_be_heard_is_heard_by_the_next_look(github, shop, make) -> None:
    looks, ears = make(Kept()), Ears()
    await looks.look(shop.name, ears.hear)
    commits = [await shop.write(github.ann) for _ in range(3)]
    ears.deaf = 1
    with pytest.raises(RuntimeError):
        await looks.look(shop.name, ears.hear)
    github.behave("GET", "/activity", Bad(status=502))
    with pytest.raises(Exception, match="502"):
        await looks.look(shop.name, ears.hear)
    await looks.look(shop.name, ears.hear)
    assert {one.commit for one in ears.heard} == set(commits)


async def test_the_checks_of_no_more_commits_are_asked_for(github, shop, make, wishes) -> None:
    wishes.kinds = frozenset({"ci_failed"})
    looks, ears = make(Kept()), Ears()
    for _ in range(COMMITS_MAX + 5):
        await shop.write(github.ann, "main")
    github.requests.clear()
    await looks.look(shop.name, ears.hear)
    asked = [path for _, path, _ in github.requests if path.endswith("/check-runs")]
    assert len(asked) == COMMITS_MAX + 1


async def test_what_was_moved_away_keeps_nothing_from_being_heard(github, shop, make) -> None:
    looks, ears = make(Kept()), Ears()
    await looks.look(shop.name, ears.hear)
    issue = await shop.issue()
    await issue.labels(github.ann, "bug")
    (told,) = github.happenings.told[shop.name]
    github.happenings.told[shop.name].append({**told, "id": 1, "issue": None})
    await looks.look(shop.name, ears.hear)
    assert [one.detail for one in ears.heard] == ["bug"]


async def test_no_more_pages_are_read(github, shop, make, wishes) -> None:
    wishes.kinds = frozenset({"issue_labelled"})
    looks, ears = make(Kept()), Ears()
    await looks.look(shop.name, ears.hear)
    issue = await shop.issue()
    await issue.labels(github.ann, "bug")
    (told,) = github.happenings.told[shop.name]
    github.happenings.told[shop.name] = [
        {**told, "id": number} for number in range(100 * (PAGES_MAX + 1))
    ]
    await looks.look(shop.name, ears.hear)
    assert len(ears.heard) == 100 * PAGES_MAX
