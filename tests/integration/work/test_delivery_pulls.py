"""A turn's work ends as a pull request on GitHub's emulator and on the GitLab of the tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.forge.github.app import App
from adapters.forge.github.pulls import GitHubPulls
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.pulls import GitLabPulls
from bot.conversation.message import IncomingMessage
from bot.work import wishes
from bot.work.delivery import Delivery
from bot.work.delivery_words import PUSH
from bot.work.queue import Event
from tests.fakes import git_server, git_tree
from tests.fakes import github as fake_github
from tests.fakes import gitlab as fake_gitlab
from tests.fakes.github.program import token_of
from tests.fakes.gitlab import DEVELOPER, MAINTAINER
from tests.fakes.gitlab.world import Project
from tests.integration.conftest import Town
from tests.integration.work.delivery_rig import (
    FILES,
    Desk,
    bare,
    forge_of,
    next_turn,
    open_desk,
    say,
)

ROW = "SELECT surface, repository, number, state, draft, head, base, opened_by FROM pull_request"
TEMPLATE = b"## Summary\n\n<!-- say it -->\n\n## Checklist\n\n- [ ] docs\n"


@pytest.fixture
async def github(github_emulator) -> AsyncIterator[fake_github.FakeGitHub]:
    async with fake_github.FakeGitHub(github_emulator) as github:
        yield github


class OnGitHub:
    """A desk whose repository is one of the emulator."""

    def __init__(self, github: fake_github.FakeGitHub, shop, desk: Desk, tokens: dict) -> None:
        self.github = github
        self.shop = shop
        self.desk = desk
        self.tokens = tokens

    async def pull(self, number: int) -> dict:
        return await self.github.ann.asks("GET", f"/repos/{self.shop.name}/pulls/{number}")

    def opened(self) -> int:
        path = f"/repos/{self.shop.name}/pulls"
        return sum(one == ("POST", path, 201) for one in self.github.requests)


@pytest.fixture
async def on_github(github, town: Town, tmp_path: Path) -> AsyncIterator[OnGitHub]:
    shop = await github.repository()
    await shop.let(github.ann, "write")
    files = {**FILES, b".github/pull_request_template.md": TEMPLATE}
    github.git = tmp_path / "srv"
    (github.git / "acme").mkdir(parents=True)
    origin = bare(github.git / f"{shop.name}.git", files)
    app = App(app_id=str(github.app.id), private_key=github.private_key, api_url=github.url)
    tokens: dict = {}
    with git_server.serve(github.git) as place:
        forge = forge_of("github", GitHubPulls(app), f"http://{place}", tokens)
        url = f"http://{place}/{shop.name}.git"
        desk = await open_desk(town, tmp_path, origin, url, [forge], pages="https://ona.example")
        yield OnGitHub(github, shop, desk, tokens)
    app.close()


async def test_the_checks_of_what_was_pushed_are_followed(on_github: OnGitHub) -> None:
    desk = on_github.desk
    git_tree.write(desk.directory, {b"new": b"1\n"})
    assert await desk.deliver() == []
    branch = desk.lease.branch
    ((repository, ref, commit),) = await desk.town.rows(
        "SELECT repository, ref, commit FROM ci_watch"
    )
    assert repository.startswith("github:")
    assert repository.endswith(f"/{on_github.shop.name}".lower())
    assert (ref, commit) == (f"refs/heads/{branch}", desk.at(branch))


async def test_the_sentence_ends_with_a_pull_request(on_github: OnGitHub) -> None:
    desk, shop = on_github.desk, on_github.shop
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    ran = {"id": "1", "title": "`pytest -q tests/payments`", "status": "completed"}
    words = {"text": "The rounding was wrong; it is done per line now. Thanks @ann"}
    await say(desk, Event(kind="tool", body=ran), Event(kind="text", body=words))
    assert await desk.deliver() == []
    (told,) = await desk.told()
    branch = desk.lease.branch
    assert told["opened"] is True
    assert (told["files"], told["insertions"], told["deletions"]) == (1, 1, 1)
    assert told["url"].endswith(f"/{shop.name}/pull/{told['number']}")
    made = await on_github.pull(told["number"])
    assert made["title"] == "fix the failing test in payments"
    assert made["draft"] is True
    assert (made["head"]["ref"], made["base"]["ref"]) == (branch, "main")
    body = made["body"]
    assert "The rounding was wrong" in body.partition("## Summary\n")[2].partition("## ")[0]
    assert "- [ ] docs" in body
    assert "Ann asked:\n\n> fix the failing test in payments" in body
    assert "pytest -q tests/payments" in body
    assert "@ann" not in body
    assert f"[{desk.lease.short}](https://ona.example/sessions/{desk.lease.short})" in body
    assert "Opened by ona for Ann" in body
    ours = on_github.github.app.login
    row = ("github", shop.name, told["number"], "open", True, branch, "main", ours)
    assert await desk.town.rows(ROW) == [row]
    place = f"{shop.name}#{told['number']}"
    where = "SELECT place FROM thread WHERE surface = 'github'"
    assert await desk.town.rows(where) == [(place,)]


async def test_of_a_narrow_session_neither_commit_nor_pull_request_says_what_was_said(
    on_github: OnGitHub,
) -> None:
    desk = on_github.desk
    await desk.town.rows("UPDATE session SET narrow = true RETURNING id")
    for round_ in (b"1", b"2"):
        git_tree.write(desk.directory, {b"new": round_})
        await say(desk, Event(kind="text", body={"text": "The burglar came by the window."}))
        assert await desk.deliver() == []
    (told, *_) = await desk.told()
    made = await on_github.pull(told["number"])
    assert made["title"] == "Changes"
    assert "Ann asked for it." in made["body"]
    assert desk.lease.short in made["body"]
    written = f"{made['title']} {made['body']} {desk.log(desk.lease.branch, '%B')}"
    for said in ("fix the failing test", "in payments", "burglar"):
        assert said not in written
    await wish(desk, title="Close the window", body="It was open.")
    assert await desk.deliver() == []
    again = await on_github.pull(told["number"])
    assert again["title"] == "Close the window"


async def test_the_template_is_the_bases_and_not_what_the_agent_makes_of_it(on_github) -> None:
    desk = on_github.desk
    forged = b"## Summary\n\n/merge @everyone\n"
    git_tree.write(desk.directory, {b".github/pull_request_template.md": forged})
    desk.answers = [PUSH]
    assert await desk.deliver() == []
    (told,) = await desk.told()
    body = (await on_github.pull(told["number"]))["body"]
    assert "- [ ] docs" in body
    assert "/merge" not in body


async def wish(desk: Desk, **more) -> None:
    async with desk.town.database.begin() as tx:
        words = {"title": None, "body": None, "draft": None, **more}
        ids = (desk.lease.session_id, desk.turn.id)
        await wishes.put(tx, *ids, repository=desk.url, **words)


async def test_the_pull_request_says_what_the_agent_wished(on_github: OnGitHub) -> None:
    desk = on_github.desk
    await wish(desk, title="Mend the payments", body="It was the **lock**. @ann")
    git_tree.write(desk.directory, {b"new": b"1\n"})
    assert await desk.deliver() == []
    (told,) = await desk.told()
    pull = await on_github.pull(told["number"])
    assert pull["title"] == "Mend the payments"
    assert pull["body"].partition("-->\n")[2].startswith("It was the **lock**.")
    assert desk.lease.short in pull["body"]

    await wish(desk, title="Mend all payments")
    assert await desk.deliver() == []
    again = await on_github.pull(told["number"])
    assert (again["title"], on_github.opened()) == ("Mend all payments", 1)
    assert again["body"].partition("-->\n")[2].startswith("It was the **lock**.")


async def test_what_is_said_on_the_pull_request_is_for_the_session(on_github) -> None:
    desk = on_github.desk
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    ((place,),) = await desk.town.rows("SELECT place FROM thread WHERE surface = 'github'")
    said = IncomingMessage(
        surface="github",
        delivery_key="d1",
        message_key="issue_comment/1",
        place=place,
        person_id=desk.town.people["Bo"],
        text="and a test for it",
    )
    accepted = await desk.town.inbox.accept(said)
    assert accepted.session == desk.lease.short
    assert await desk.town.value("SELECT count(*) FROM session") == 1


async def test_a_repository_without_drafts_gets_one_that_is_ready(on_github) -> None:
    desk = on_github.desk
    words = "Validation Failed: Draft pull requests are not supported in this repository."
    on_github.github.behave("POST", r"/pulls$", fake_github.Bad(status=422, words=words))
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    (told,) = await desk.told()
    assert told["number"]
    assert told["draft"] is False


async def test_the_next_turn_goes_into_the_same_pull_request(on_github: OnGitHub) -> None:
    desk = on_github.desk
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    git_tree.write(desk.directory, {b"src/a": b"c\n", b"more": b"1\n"})
    await desk.deliver()
    first, second = await desk.told()
    assert (first["number"], first["opened"]) == (second["number"], True)
    assert (second["opened"], second["files"]) == (False, 2)
    assert on_github.opened() == 1


async def test_the_next_turn_renews_the_text_and_leaves_what_people_wrote(on_github) -> None:
    desk = on_github.desk
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await say(desk, Event(kind="text", body={"text": "It rounds per line."}))
    await desk.deliver()
    (told,) = await desk.told()
    first = await on_github.pull(told["number"])
    edited = {
        "title": "Round it",
        "body": f"Closes #7.\n\n{first['body'].replace('[ ]', '[x]')}",
    }
    path = f"/repos/{on_github.shop.name}/pulls/{told['number']}"
    await on_github.github.acme.asks("PATCH", path, edited)

    await next_turn(desk, "and a test for it", by="Bo")
    git_tree.write(desk.directory, {b"src/a": b"c\n"})
    ran = {"id": "1", "title": "pytest -q tests/payments", "status": "completed"}
    words = {"text": "There is one now."}
    await say(desk, Event(kind="tool", body=ran), Event(kind="text", body=words))
    await desk.deliver()
    pull = await on_github.pull(told["number"])
    assert pull["title"] == "Round it"
    body = pull["body"]
    assert body.startswith("Closes #7.")
    assert "- [x] docs" in body
    assert "It rounds per line.\n\nThere is one now." in body
    assert "Bo asked:\n\n> and a test for it" in body
    assert "- `pytest -q tests/payments`: passed" in body
    assert on_github.opened() == 1


async def test_one_whose_answer_was_lost_is_not_opened_twice(on_github: OnGitHub) -> None:
    desk = on_github.desk
    on_github.github.behave("POST", r"/pulls$", fake_github.Bad(drop_answer=True))
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    assert await desk.deliver() == []
    (told,) = await desk.told()
    assert told["number"]
    assert on_github.opened() == 1


async def test_who_takes_over_after_it_was_opened_finds_it(on_github, monkeypatch) -> None:
    desk = on_github.desk
    git_tree.write(desk.directory, {b"src/a": b"b\n"})

    async def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.delivery._means.rows), "delivered", dies)
        with pytest.raises(KeyboardInterrupt):
            await desk.deliver()
    assert await desk.told() == []
    await desk.deliver()
    (told,) = await desk.told()
    assert told["number"]
    assert on_github.opened() == 1


async def test_a_forge_that_is_away_leaves_the_branch_and_the_next_turn_opens_it(on_github) -> None:
    desk = on_github.desk
    bad = fake_github.Bad(status=502)
    on_github.github.behave("GET", r"/pulls$", bad)
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    (told,) = await desk.told()
    assert (told["number"], told["branch"]) == (None, desk.lease.branch)
    assert "502" in told["why_not"]
    await desk.deliver()
    again = (await desk.told())[1]
    assert again["number"]


async def test_a_merged_one_is_over_and_what_comes_later_gets_another(on_github) -> None:
    desk = on_github.desk
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    (told,) = await desk.told()
    path = f"/repos/{on_github.shop.name}/pulls/{told['number']}"
    await on_github.github.acme.asks("PATCH", path, {"state": "closed"})
    git_tree.write(desk.directory, {b"src/a": b"c\n"})
    await desk.deliver()
    assert (await desk.told())[1]["number"] != told["number"]


async def test_the_persons_own_token_opens_it_in_their_name(on_github) -> None:
    desk = on_github.desk
    on_github.tokens[desk.town.people["Ann"]] = SecretStr(token_of("ann"))
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    (told,) = await desk.told()
    made = await on_github.pull(told["number"])
    assert made["user"]["login"] == "ann"
    assert "Made with ona" in made["body"]
    row = "SELECT asker_id, by_asker FROM pull_request"
    assert await desk.town.rows(row) == [(desk.town.people["Ann"], True)]


async def test_a_token_that_counts_no_more_gives_way_to_ours(on_github) -> None:
    desk = on_github.desk
    on_github.tokens[desk.town.people["Ann"]] = SecretStr("gone")
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    (told,) = await desk.told()
    made = await on_github.pull(told["number"])
    assert made["user"]["login"] == on_github.github.app.login


async def test_who_could_connect_is_to_be_told_once(on_github) -> None:
    desk = on_github.desk
    (forge,) = desk.delivery._means.forges
    acting = replace(forge, keeps_tokens=True)
    desk.delivery = Delivery(replace(desk.delivery._means, forges=[acting]))
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    (told,) = await desk.told()
    path = f"/repos/{on_github.shop.name}/pulls/{told['number']}"
    await on_github.github.acme.asks("PATCH", path, {"state": "closed"})
    git_tree.write(desk.directory, {b"src/a": b"c\n"})
    await desk.deliver()
    offers = await desk.town.rows("SELECT offer FROM pull_request ORDER BY number")
    assert offers == [(True,), (False,)]


async def test_the_policy_wants_a_branch_alone_or_one_that_is_ready(on_github) -> None:
    desk = on_github.desk
    await desk.policy("[delivery]\nmode = 'branch'\n")
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    assert (await desk.told())[0]["number"] is None
    await desk.policy("[delivery]\ndraft = false\n")
    git_tree.write(desk.directory, {b"src/a": b"c\n"})
    await desk.deliver()
    told = (await desk.told())[1]
    assert told["draft"] is False
    assert (await on_github.pull(told["number"]))["draft"] is False


async def test_commits_name_the_account_on_the_forge(on_github) -> None:
    desk = on_github.desk
    ann = desk.town.people["Ann"]
    await desk.town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (gen_random_uuid(), :ann, 'github:github.com', '42', 'ann-gh') RETURNING 1",
        ann=ann,
    )
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    assert desk.log(desk.lease.branch, "%ae") == ["42+ann-gh@users.noreply.github.com"]


@asynccontextmanager
async def on_gitlab(town: Town, tmp_path: Path) -> AsyncIterator[tuple[Desk, Project]]:
    async with fake_gitlab.FakeGitLab() as gitlab:
        ann, ona = gitlab.person("ann"), gitlab.person("ona-bot", is_bot=True)
        project = gitlab.project("acme/api", {ann: DEVELOPER, ona: MAINTAINER})
        (tmp_path / "srv" / "acme").mkdir(parents=True)
        files = {**FILES, b".gitlab/merge_request_templates/Default.md": TEMPLATE}
        project.git = bare(tmp_path / "srv" / "acme" / "api.git", files)
        client = Client(gitlab.url, ona.token)
        with git_server.serve(tmp_path / "srv") as place:
            forge = forge_of("gitlab", GitLabPulls(client), f"http://{place}")
            url = f"http://{place}/acme/api.git"
            yield await open_desk(town, tmp_path, project.git, url, [forge]), project
        client.close()


async def test_a_merge_request_on_gitlab(town: Town, tmp_path: Path) -> None:
    async with on_gitlab(town, tmp_path) as (desk, project):
        git_tree.write(desk.directory, {b"src/a": b"b\n"})
        assert await desk.deliver() == []
        (told,) = await desk.told()
        (request,) = project.noteables
        assert request.title == "Draft: fix the failing test in payments"
        assert (request.branch, request.target) == (desk.lease.branch, "main")
        assert request.sha == told["commit"]
        # In the repository's template.
        assert "## Checklist\n\n- [ ] docs" in request.description
        assert told["url"].endswith(f"/acme/api/-/merge_requests/{request.iid}")
        where = "SELECT place FROM thread WHERE surface = 'gitlab'"
        assert await town.rows(where) == [("acme/api!1",)]


async def test_a_merge_request_is_ready_where_the_policy_wants_it(
    town: Town, tmp_path: Path
) -> None:
    async with on_gitlab(town, tmp_path) as (desk, project):
        await desk.policy("[delivery]\ndraft = false\n")
        git_tree.write(desk.directory, {b"src/a": b"b\n"})
        assert await desk.deliver() == []
        (told,) = await desk.told()
        (request,) = project.noteables
        assert request.title == "fix the failing test in payments"
        assert told["draft"] is False


async def test_an_agent_says_that_it_is_ready_once(town: Town, tmp_path: Path) -> None:
    async with on_gitlab(town, tmp_path) as (desk, project):
        await desk.policy("[delivery]\ndraft = false\n")
        await wish(desk, draft=True)
        git_tree.write(desk.directory, {b"src/a": b"b\n"})
        await desk.deliver()
        (request,) = project.noteables
        assert request.title == "Draft: fix the failing test in payments"
        await next_turn(desk, "go on")
        await wish(desk, draft=False)
        await desk.deliver()
        assert request.title == "fix the failing test in payments"
        request.title = f"Draft: {request.title}"
        await next_turn(desk, "go on")
        await wish(desk, title="Mend it")
        await desk.deliver()
        assert request.title == "Draft: Mend it"


async def test_people_alone_say_ready_where_the_policy_wants_drafts(on_github) -> None:
    desk = on_github.desk
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    await desk.deliver()
    (told,) = await desk.told()
    await wish(desk, draft=False)
    await desk.deliver()
    assert (await on_github.pull(told["number"]))["draft"] is True
    await desk.policy("[delivery]\ndraft = false\n")
    await desk.deliver()
    assert (await on_github.pull(told["number"]))["draft"] is False
