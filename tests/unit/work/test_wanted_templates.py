"""What of a project changes its templates, and how often its repository is looked at."""

from uuid import uuid4

import pytest

from bot.errors import OnaError
from bot.work.detect.devcontainer import Devcontainer
from bot.work.detect.guessing import Detected, Guess, guessed
from bot.work.detect.tree import Tree
from bot.work.git import GitFailed
from bot.work.repository import Base
from bot.work.templates import ProjectTemplates, TemplateLimits, _ingredients
from vmpool.errors import HostUnfit

PROJECT = {
    "id": uuid4(),
    "name": "demo",
    "repository_url": "/srv/demo",
    "base_branch": "main",
    "setup": ["make"],
    "start": ["db"],
    "ports": [],
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
        {"setup": [], "start": ["make", "db"]},
        {"ports": [3000]},
    ],
)
def test_a_change_of_anything_that_goes_in_is_another_template(changed):
    assert _ingredients({**PROJECT, **changed}, Detected()) != _ingredients(PROJECT, Detected())


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


GUESS = Guess(file="uv.lock", command="uv sync --frozen", tools=("uv",))


@pytest.mark.parametrize(
    "other",
    [
        (),
        (Guess(file="uv.lock", command="uv sync", tools=("uv",)),),
        (Guess(file="uv.lock", command="uv sync --frozen", tools=("uv", "go")),),
        (GUESS, GUESS),
    ],
)
def test_what_was_guessed_goes_in(other):
    bare = {**PROJECT, "setup": []}
    expected = _ingredients(bare, Detected(guesses=(GUESS,)))
    assert _ingredients(bare, Detected(guesses=other)) != expected
    moved = Guess(file="api/uv.lock", command="uv sync --frozen", tools=("uv",))
    assert _ingredients(bare, Detected(guesses=(moved,))) == expected, "the same is done"
    asked = Devcontainer(path=".devcontainer.json", config={"image": "base"})
    assert _ingredients(bare, Detected(guesses=(GUESS,), devcontainer=asked)) != expected


class Forge(CountingRepositories):
    """Repositories whose remote and whose copy here may be away, and what was looked at."""

    def __init__(self):
        super().__init__()
        self.commit, self.file = "c1", "uv.lock"
        self.is_away = self.is_damaged = False
        self.looked = []

    async def update(self, project_id, url):
        if self.is_away:
            raise OnaError("away", do="wait")

    async def base(self, project_id, branch):
        return Base(commit=self.commit, branch=branch)

    async def tree(self, project_id, commit):
        self.looked.append(commit)
        if self.is_damaged:
            raise GitFailed("damaged")
        return Tree(files=frozenset({self.file}))


async def test_a_base_is_looked_at_once_and_what_was_known_counts_while_it_cannot_be():
    forge, bare = Forge(), {**PROJECT, "setup": []}
    known = templates(forge, rebuild_seconds=0)

    async def guesses():
        return (await known._looked(bare, await known._base(bare))).guesses

    uv, go = (guessed(Tree(files=frozenset({name}))) for name in ("uv.lock", "go.mod"))
    assert [await guesses(), await guesses()] == [uv, uv]
    forge.is_away = True
    assert await guesses() == uv
    assert forge.looked == ["c1"]
    forge.is_away, forge.commit, forge.file, forge.is_damaged = False, "c2", "go.mod", True
    assert await guesses() == uv
    forge.is_damaged = False
    assert await guesses() == go
    assert forge.looked == ["c1", "c2", "c2"]


async def test_a_new_process_whose_forge_is_away_guesses_from_the_copy_that_is_here():
    forge, bare = Forge(), {**PROJECT, "setup": []}
    forge.is_away = True
    known = templates(forge, rebuild_seconds=0)
    base = await known._base(bare)
    assert base.commit == ""
    assert [guess.file for guess in (await known._looked(bare, base)).guesses] == ["uv.lock"]


async def test_what_the_project_says_itself_is_never_overridden():
    known = templates(Forge(), rebuild_seconds=0)
    base = Base(commit="c1", branch="")
    assert (await known._looked(PROJECT, base)).guesses == ()
    assert (await known._looked({**PROJECT, "setup": []}, base)).guesses != ()


USABLE = Devcontainer(path=".devcontainer.json", config={"image": "base"})
COMPOSED = Devcontainer(path=".devcontainer.json", unusable="it names Docker Compose files")


class Images:
    """Two images; the one with an engine may not be had."""

    def __init__(self):
        self.is_away, self.asked = False, 0

    async def bare(self):
        return "bare"

    async def engine(self):
        self.asked += 1
        if self.is_away:
            raise HostUnfit("no network")
        return "engine"

    def templates(self, *, rebuild_seconds: float) -> ProjectTemplates:
        limits = TemplateLimits(
            keep_seconds=60, rebuild_seconds=rebuild_seconds, setup_seconds_max=60
        )
        return ProjectTemplates(
            None, None, None, image=self.bare, engine_image=self.engine, sizes=None, limits=limits
        )


@pytest.mark.parametrize(
    ("wanted", "image"), [(None, "bare"), (COMPOSED, "bare"), (USABLE, "engine")]
)
async def test_only_what_makes_a_container_is_made_of_the_image_with_an_engine(wanted, image):
    known = Images().templates(rebuild_seconds=60)
    assert await known._image_for(Detected(devcontainer=wanted)) == image


@pytest.mark.parametrize(("rebuild_seconds", "asked"), [(1800, 1), (0, 3)])
async def test_an_engine_that_can_not_be_had_keeps_no_template_from_being_made(
    rebuild_seconds, asked
):
    images = Images()
    images.is_away = True
    known = images.templates(rebuild_seconds=rebuild_seconds)
    for _ in range(3):
        assert await known._image_for(Detected(devcontainer=USABLE)) == "bare"
    assert images.asked == asked
