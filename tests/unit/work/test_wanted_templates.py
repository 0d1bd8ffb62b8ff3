"""What of a project changes its templates, and how often its repository is looked at."""

from uuid import uuid4

import pytest

from bot.work.repository import Base
from bot.work.templates import ProjectTemplates, TemplateLimits, _ingredients

PROJECT = {
    "id": uuid4(),
    "name": "demo",
    "repository_url": "/srv/demo",
    "base_branch": "main",
    "setup": ["make"],
    "start": ["db"],
}


class CountingRepositories:
    """Repositories that are always at one commit, and how often they were fetched."""

    def __init__(self):
        self.fetched = 0

    async def update(self, project_id, url):
        self.fetched += 1

    async def base(self, project_id, branch):
        return Base(commit="c0ffee", branch=branch)


def templates(repositories, *, rebuild_seconds: float) -> ProjectTemplates:
    limits = TemplateLimits(keep_seconds=60, rebuild_seconds=rebuild_seconds, setup_seconds_max=60)
    return ProjectTemplates(None, None, repositories, image=None, sizes=None, limits=limits)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"repository_url": "/srv/other"},
        {"base_branch": None},
        {"setup": ["make all"]},
        {"start": ["db", "cache"]},
        {"setup": ["make", "db"], "start": []},
    ],
)
def test_a_change_of_anything_that_goes_in_is_another_template(changed):
    assert _ingredients({**PROJECT, **changed}) != _ingredients(PROJECT)


@pytest.mark.parametrize(("rebuild_seconds", "fetched"), [(1800, 1), (0, 3)])
async def test_a_repository_is_fetched_as_often_as_templates_may_follow_it(
    rebuild_seconds, fetched
):
    repositories = CountingRepositories()
    known = templates(repositories, rebuild_seconds=rebuild_seconds)
    for _ in range(3):
        assert (await known._base(PROJECT)).commit == "c0ffee"
    assert repositories.fetched == fetched


class BuildingKeeper:
    """Builds something, or nothing, and hears what is wanted instead."""

    def __init__(self, building):
        self.building = building
        self.heard = []

    async def give_up_unwanted(self, building, wanted):
        self.heard.append((building, wanted))


@pytest.mark.parametrize(("building", "heard"), [(None, []), ("t", [("t", ["wanted"])])])
async def test_what_is_wanted_is_looked_at_again_only_while_a_template_is_built(
    monkeypatch, building, heard
):
    keeper = BuildingKeeper(building)
    known = templates(CountingRepositories(), rebuild_seconds=60)

    async def projects():
        return [PROJECT]

    async def wanted(project):
        return "wanted", Base(commit="c0ffee", branch="main")

    monkeypatch.setattr(known, "_keeper", keeper)
    monkeypatch.setattr(known, "_projects", projects)
    monkeypatch.setattr(known, "_wanted", wanted)
    await known.give_up_unwanted()
    assert keeper.heard == heard
