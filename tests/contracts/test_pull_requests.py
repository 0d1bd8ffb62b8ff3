"""One contract for the pull requests of every forge."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Protocol

import pytest
from pydantic import SecretStr

from adapters.chat.port import Deadline, Gone, Rejected, Uncertain
from adapters.forge.github.app import App
from adapters.forge.github.pulls import GitHubPulls
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.pulls import GitLabPulls
from adapters.forge.port import NewPullRequest, NotLetIn, PullRequests
from tests.fakes import github as fake_github
from tests.fakes import gitlab as fake_gitlab
from tests.fakes.github.program import token_of
from tests.fakes.gitlab import DEVELOPER, MAINTAINER

NEW = NewPullRequest(head="ona/s-1", base="main", title="Mend it", body="What and why", draft=True)


class Desk(Protocol):
    """A repository of a forge, and what people see there."""

    pulls: PullRequests
    repository: str
    ours: str
    ann: str
    anns_token: SecretStr

    def cut_answer(self) -> None:
        """Let the next pull request be opened without us being told."""

    async def body(self, number: int) -> str: ...
    async def close(self, number: int) -> None: ...
    async def from_fork(self, head: str) -> None: ...


@dataclass
class OnGitHub:
    github: fake_github.FakeGitHub
    shop: object
    pulls: GitHubPulls
    anns_token: SecretStr
    ann: str = "ann"

    @property
    def repository(self) -> str:
        return self.shop.name

    @property
    def ours(self) -> str:
        return self.github.app.login

    def cut_answer(self) -> None:
        self.github.behave("POST", r"/pulls$", fake_github.Bad(drop_answer=True))

    async def body(self, number: int) -> str:
        path = f"/repos/{self.repository}/pulls/{number}"
        return (await self.github.ann.asks("GET", path))["body"]

    async def close(self, number: int) -> None:
        path = f"/repos/{self.repository}/pulls/{number}"
        await self.github.acme.asks("PATCH", path, {"state": "closed"})

    async def from_fork(self, head: str) -> None:
        await self.github.bo.asks("POST", f"/repos/{self.repository}/forks", {})
        body = {"title": "Theirs", "head": f"bo:{head}", "base": "main"}
        await self.github.bo.asks("POST", f"/repos/{self.repository}/pulls", body)


@dataclass
class OnGitLab:
    gitlab: fake_gitlab.FakeGitLab
    project: object
    pulls: GitLabPulls
    anns_token: SecretStr
    ann: str = "ann"
    ours: str = "ona-bot"

    @property
    def repository(self) -> str:
        return self.project.path

    def cut_answer(self) -> None:
        self.gitlab.bad.behave("merge_requests.create", fake_gitlab.Bad(drop_answer=True))

    def _request(self, number: int):
        return next(one for one in self.project.noteables if one.iid == number)

    async def body(self, number: int) -> str:
        return self._request(number).description

    async def close(self, number: int) -> None:
        self._request(number).state = "closed"

    async def from_fork(self, head: str) -> None:
        bo = self.gitlab.person("bo")
        fork = self.gitlab.project("bo/api", {bo: MAINTAINER})
        bo.opens(self.project, branch=head, source=fork)


@pytest.fixture(params=["github", "gitlab"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    if request.param == "github":
        async with fake_github.FakeGitHub(request.getfixturevalue("github_emulator")) as github:
            shop = await github.repository()
            await shop.let(github.ann, "write")
            key = github.private_key
            app = App(app_id=str(github.app.id), private_key=key, api_url=github.url)
            yield OnGitHub(github, shop, GitHubPulls(app), SecretStr(token_of("ann")))
            app.close()
        return
    async with fake_gitlab.FakeGitLab() as gitlab:
        ann, ona = gitlab.person("ann"), gitlab.person("ona-bot", is_bot=True)
        project = gitlab.project("acme/api", {ann: DEVELOPER, ona: MAINTAINER})
        client = Client(gitlab.url, ona.token)
        yield OnGitLab(gitlab, project, GitLabPulls(client), SecretStr(ann.token))
        client.close()


def soon() -> Deadline:
    return Deadline.after(20)


async def test_what_is_opened_is_found_by_its_branch(desk: Desk) -> None:
    assert await desk.pulls.find(desk.repository, NEW.head, soon()) is None
    made = await desk.pulls.create(desk.repository, NEW, soon())
    assert (made.state, made.draft, made.head, made.base) == ("open", True, "ona/s-1", "main")
    assert made.author == desk.ours
    assert str(made.number) in made.url
    assert made.url.startswith("http://127.0.0.1")
    assert await desk.body(made.number) == "What and why"
    assert await desk.pulls.find(desk.repository, NEW.head, soon()) == made
    assert await desk.pulls.find(desk.repository, "ona/s-2", soon()) is None


async def test_a_persons_token_makes_them_the_author(desk: Desk) -> None:
    made = await desk.pulls.create(desk.repository, NEW, soon(), by=desk.anns_token)
    assert made.author == desk.ann


async def test_a_token_that_counts_no_more_is_told_apart(desk: Desk) -> None:
    with pytest.raises(NotLetIn):
        await desk.pulls.create(desk.repository, NEW, soon(), by=SecretStr("gone"))
    assert await desk.pulls.find(desk.repository, NEW.head, soon()) is None


async def test_a_second_one_of_the_same_branch_is_refused(desk: Desk) -> None:
    await desk.pulls.create(desk.repository, NEW, soon())
    with pytest.raises(Rejected):
        await desk.pulls.create(desk.repository, NEW, soon())


async def test_one_whose_answer_was_lost_is_found(desk: Desk) -> None:
    desk.cut_answer()
    with pytest.raises(Uncertain):
        await desk.pulls.create(desk.repository, NEW, soon())
    found = await desk.pulls.find(desk.repository, NEW.head, soon())
    assert found is not None
    assert found.state == "open"


async def test_an_open_one_is_found_before_a_closed_one(desk: Desk) -> None:
    first = await desk.pulls.create(desk.repository, NEW, soon())
    await desk.close(first.number)
    found = await desk.pulls.find(desk.repository, NEW.head, soon())
    assert found is not None
    assert (found.number, found.state) == (first.number, "closed")
    second = await desk.pulls.create(desk.repository, NEW, soon())
    found = await desk.pulls.find(desk.repository, NEW.head, soon())
    assert found is not None
    assert (found.number, found.state) == (second.number, "open")


async def test_the_branch_of_a_fork_is_another_one(desk: Desk) -> None:
    await desk.from_fork(NEW.head)
    assert await desk.pulls.find(desk.repository, NEW.head, soon()) is None


async def test_its_words_are_changed_and_others_said_below(desk: Desk) -> None:
    made = await desk.pulls.create(desk.repository, NEW, soon())
    assert (made.title, made.body) == (NEW.title, NEW.body)
    await desk.pulls.update(desk.repository, made, soon(), body="Otherwise")
    assert await desk.body(made.number) == "Otherwise"
    now = await desk.pulls.update(desk.repository, made, soon(), title="Mend all")
    assert (now.title, now.body, now.draft) == ("Mend all", "Otherwise", True)
    assert await desk.pulls.find(desk.repository, NEW.head, soon()) == now
    ref = await desk.pulls.comment(desk.repository, made.number, "Look here", soon())
    assert ref.rpartition("/")[2].isdecimal()
    with pytest.raises(Gone):
        await desk.pulls.update(
            desk.repository, replace(made, number=999_999), soon(), title="Nothing"
        )


async def test_a_draft_becomes_ready_and_one_again(desk: Desk) -> None:
    made = await desk.pulls.create(desk.repository, NEW, soon())
    ready = await desk.pulls.update(desk.repository, made, soon(), draft=False)
    assert (ready.title, ready.draft) == (NEW.title, False)
    assert await desk.pulls.find(desk.repository, NEW.head, soon()) == ready
    again = await desk.pulls.update(desk.repository, ready, soon(), title="Mend all", draft=True)
    assert (again.title, again.draft) == ("Mend all", True)
    assert await desk.pulls.find(desk.repository, NEW.head, soon()) == again
