"""One contract for finding the repositories of every forge."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from adapters.chat.port import Deadline, Rejected, Throttled, Unavailable
from adapters.forge.github.app import App
from adapters.forge.github.search import GitHubSearch
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.search import GitLabSearch
from adapters.forge.port import Searches
from tests.fakes import github as fake_github
from tests.fakes import gitlab as fake_gitlab
from tests.fakes.gitlab import DEVELOPER, REPORTER


class Yard(Protocol):
    """A forge with repositories on it."""

    searches: Searches
    everything: str
    """A query that finds all repositories of ours in this test."""

    async def make(self, word: str) -> str:
        """A repository with this in its name; its name."""

    async def make_elsewhere(self) -> str:
        """One that everybody sees, and that we are not let into."""

    async def archive(self, name: str) -> None: ...
    async def make_empty(self) -> str: ...
    async def take_rights(self, name: str) -> None: ...
    def throttle(self, seconds: float) -> None: ...
    def fail(self) -> None: ...


@dataclass
class OnGitHub:
    github: fake_github.FakeGitHub
    searches: GitHubSearch
    word: str

    @property
    def everything(self) -> str:
        return f"{self.word} in:name"

    async def make(self, word: str) -> str:
        return (await self.github.repository(f"{self.word}-{word}")).name

    async def make_elsewhere(self) -> str:
        return (await self.github.globex.creates(f"{self.word}-theirs")).name

    async def archive(self, name: str) -> None:
        await self.github.acme.asks("PATCH", f"/repos/{name}", {"archived": True})

    async def make_empty(self) -> str:
        made = {"name": f"{self.word}-empty", "auto_init": False}
        return str((await self.github.acme.asks("POST", "/user/repos", made))["full_name"])

    async def take_rights(self, name: str) -> None:
        bad = fake_github.Bad(wrong=READ_ONLY, answer_status=200)
        self.github.behave("GET", rf"/repos/{name}/installation", bad)

    def throttle(self, seconds: float) -> None:
        bad = fake_github.Bad(status=429, words="slow", headers={"retry-after": str(seconds)})
        self.github.behave("GET", "/search/repositories", bad)

    def fail(self) -> None:
        self.github.behave("GET", "/search/repositories", fake_github.Bad(status=502))


READ_ONLY = b'{"id": 100, "permissions": {"contents": "read"}, "suspended_at": null}'


@dataclass
class OnGitLab:
    gitlab: fake_gitlab.FakeGitLab
    us: Any
    searches: GitLabSearch
    everything: str = "shop"

    async def make(self, word: str) -> str:
        return self.gitlab.project(f"acme/web/shop-{word}", {self.us: DEVELOPER}).path

    async def make_elsewhere(self) -> str:
        return self.gitlab.project("bo/shop-theirs", {}, visibility="public").path

    async def archive(self, name: str) -> None:
        self._project(name).archived = True

    async def make_empty(self) -> str:
        name = await self.make("empty")
        self._project(name).empty = True
        return name

    async def take_rights(self, name: str) -> None:
        self._project(name).members[self.us] = REPORTER

    def throttle(self, seconds: float) -> None:
        self.gitlab.bad.behave("projects.list", fake_gitlab.Bad(throttle_seconds=seconds))

    def fail(self) -> None:
        self.gitlab.bad.behave("projects.list", fake_gitlab.Bad(status=502))

    def _project(self, name: str) -> Any:
        return next(one for one in self.gitlab.projects if one.path == name)


@pytest.fixture(params=["github", "gitlab"])
async def yard(request: pytest.FixtureRequest) -> AsyncIterator[Yard]:
    if request.param == "github":
        async with fake_github.FakeGitHub(request.getfixturevalue("github_emulator")) as github:
            key = github.private_key
            app = App(app_id=str(github.app.id), private_key=key, api_url=github.url)
            yield OnGitHub(github, GitHubSearch(app), f"w{time.time_ns():x}")
            app.close()
        return
    async with fake_gitlab.FakeGitLab() as gitlab:
        us = gitlab.person("ona-bot", is_bot=True)
        client = Client(gitlab.url, us.token)
        yield OnGitLab(gitlab, us, GitLabSearch(client))
        client.close()


def soon(seconds: float = 60) -> Deadline:
    return Deadline.after(seconds)


async def test_what_we_are_let_into_is_found(yard: Yard) -> None:
    names = {await yard.make(word) for word in ("one", "two")}
    await yard.make_elsewhere()
    found = await yard.searches.search(yard.everything, soon(), limit=100)
    assert {one.name for one in found} == names
    for one in found:
        assert one.url.endswith(f"/{one.name}.git")
        assert (one.default_branch, one.archived) == ("main", False)


async def test_no_more_are_found_than_are_asked_for(yard: Yard) -> None:
    for word in ("one", "two", "three"):
        await yard.make(word)
    assert len(await yard.searches.search(yard.everything, soon(), limit=2)) == 2


async def test_page_after_page_is_read(yard: Yard) -> None:
    names = {await yard.make(f"n{number}") for number in range(103)}
    found = await yard.searches.search(yard.everything, soon(), limit=1_000)
    assert {one.name for one in found} == names


async def test_what_is_archived_says_so(yard: Yard) -> None:
    name = await yard.make("old")
    await yard.archive(name)
    (found,) = await yard.searches.search(yard.everything, soon(), limit=9)
    assert found.archived
    described = await yard.searches.describe(name, soon())
    assert described.why == "archived"


async def test_a_throttle_is_waited_out_where_there_is_time(yard: Yard) -> None:
    name = await yard.make("one")
    yard.throttle(1)
    found = await yard.searches.search(yard.everything, soon(), limit=9)
    assert [one.name for one in found] == [name]
    yard.throttle(90)
    with pytest.raises(Throttled):
        await yard.searches.search(yard.everything, soon(), limit=9)


async def test_a_forge_that_fails_is_no_empty_answer(yard: Yard) -> None:
    yard.fail()
    with pytest.raises(Unavailable):
        await yard.searches.search(yard.everything, soon(), limit=9)


async def test_what_can_be_done_in_a_repository(yard: Yard) -> None:
    name = await yard.make("one")
    described = await yard.searches.describe(name, soon())
    assert described.why == ""
    assert described.repository is not None
    assert described.repository.name == name
    missing = await yard.searches.describe("acme/nothing", soon())
    assert (missing.why, missing.repository) == ("missing", None)
    empty = await yard.searches.describe(await yard.make_empty(), soon())
    assert empty.why == "empty"
    await yard.take_rights(name)
    assert (await yard.searches.describe(name, soon())).why == "no_rights"


async def test_on_gitlab_a_query_is_narrowed_by_group_and_topic() -> None:
    async with fake_gitlab.FakeGitLab() as gitlab:
        us = gitlab.person("ona-bot", is_bot=True)
        for path, topics in (("acme/a/x", ["py"]), ("acme/b/x", ["py", "web"]), ("bo/x", [])):
            gitlab.project(path, {us: DEVELOPER}).topics = topics
        client = Client(gitlab.url, us.token)
        searches = GitLabSearch(client)

        async def names(query: str) -> list[str]:
            return [one.name for one in await searches.search(query, soon(), limit=9)]

        assert await names("group:acme") == ["acme/a/x", "acme/b/x"]
        assert await names("topic:py topic:web x") == ["acme/b/x"]
        assert await names("x") == ["acme/a/x", "acme/b/x", "bo/x"]
        for wrong in ("", "language:go", "group:a group:b", "topic:"):
            with pytest.raises(Rejected):
                await names(wrong)
        client.close()
