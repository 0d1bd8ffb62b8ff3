"""Two repositories of a session get a branch and a pull request each, which name each other."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from adapters.forge.github.app import App
from adapters.forge.github.pulls import GitHubPulls
from bot.govern.beside import Beside, of_session
from bot.store.ids import new_id
from bot.work.queue import Event
from bot.work.repository import clone_into
from bot.work.workplace import BesideAt
from tests.fakes import git_server, git_tree
from tests.fakes import github as fake_github
from tests.fakes.git_server import head_of
from tests.integration.conftest import DEMO, Town
from tests.integration.work.delivery_rig import (
    FILES,
    Desk,
    bare,
    forge_of,
    next_turn,
    open_desk,
    say,
)

LIB = {b"lib.py": b"x = 1\n"}


@dataclass(kw_only=True)
class Two:
    """A desk with a second repository beside it."""

    github: fake_github.FakeGitHub
    desk: Desk
    lib: Path
    """The second one, in the machine."""
    lib_id: UUID
    origin: Path
    """And on the code host."""
    names: tuple[str, str]

    async def pulls(self) -> list[dict]:
        """The pull requests of both, as far as they are open."""
        return [
            pull
            for name in self.names
            for pull in await self.github.ann.asks("GET", f"/repos/{name}/pulls")
        ]


@pytest.fixture
async def two(github_emulator, town: Town, tmp_path: Path) -> AsyncIterator[Two]:
    async with fake_github.FakeGitHub(github_emulator) as github:
        github.git = tmp_path / "srv"
        (github.git / "acme").mkdir(parents=True)
        shop, lib = [await github.repository(name) for name in ("shop", "lib")]
        for repository in (shop, lib):
            await repository.let(github.ann, "write")
        origins = [
            bare(github.git / f"{one.name}.git", files)
            for one, files in ((shop, FILES), (lib, LIB))
        ]
        app = App(app_id=str(github.app.id), private_key=github.private_key, api_url=github.url)
        with git_server.serve(github.git) as place:
            base = f"http://{place}"
            forge = forge_of("github", GitHubPulls(app), base)
            desk = await open_desk(town, tmp_path, origins[0], f"{base}/{shop.name}.git", [forge])
            url, lib_id = f"{base}/{lib.name}.git", new_id()
            await town.rows(
                "INSERT INTO project_repository (id, project_id, name, url)"
                " VALUES (:id, :project, 'lib', :url) RETURNING id",
                id=lib_id,
                project=DEMO,
                url=url,
            )
            await desk.repositories.update(lib_id, url)
            at = desk.directory.with_name("lib")
            await clone_into(
                desk.machine,
                desk.repositories,
                lib_id,
                await desk.repositories.base(lib_id, None),
                branch=desk.lease.branch,
                directory=str(at),
                origin_url=url,
            )
            desk.beside = (
                BesideAt(id=lib_id, name="lib", url=url, base_branch=None, directory=str(at)),
            )
            yield Two(
                github=github,
                desk=desk,
                lib=at,
                lib_id=lib_id,
                origin=origins[1],
                names=(shop.name, lib.name),
            )
        app.close()


async def test_each_gets_a_pull_request_and_they_name_each_other(two: Two) -> None:
    desk = two.desk
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    git_tree.write(two.lib, {b"lib.py": b"x = 2\n"})
    await say(desk, Event(kind="text", body={"text": "Both are mended."}))
    assert await desk.deliver() == []
    told = await desk.told()
    assert [(one["repository"], one["beside"], one["opened"]) for one in told] == [
        (two.names[0], "", True),
        (two.names[1], "lib", True),
    ]
    assert [one["branch"] for one in told] == [desk.lease.branch] * 2
    assert head_of(two.origin, desk.lease.branch) == told[1]["commit"]
    first, second = await two.pulls()
    for pull, other in ((first, second), (second, first)):
        assert f"## Together with\n\n- {other['html_url']}" in pull["body"]
        assert "Both are mended." in pull["body"]
    places = await desk.town.rows("SELECT place FROM thread WHERE surface = 'github' ORDER BY 1")
    assert len(places) == 2
    watched = await desk.town.rows("SELECT repository FROM ci_watch ORDER BY 1")
    assert [row[0].partition("/")[2] for row in watched] == sorted(
        name.lower() for name in two.names
    )
    assert await desk.deliver() == []
    assert len(await desk.told()) == 2


async def test_one_that_nothing_was_changed_in_gets_none_until_something_is(two: Two) -> None:
    desk = two.desk
    git_tree.write(two.lib, {b"lib.py": b"x = 2\n"})
    assert await desk.deliver() == []
    (pull,) = await two.pulls()
    assert f"/{two.names[1]}/pull/" in pull["html_url"]
    assert "Together with" not in pull["body"]
    await next_turn(desk, "and the shop")
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    assert await desk.deliver() == []
    shop, lib = await two.pulls()
    assert lib["html_url"] in shop["body"]
    assert shop["html_url"] in lib["body"]


async def test_what_keeps_one_back_does_not_hold_up_the_other(two: Two) -> None:
    desk = two.desk
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    git_tree.write(two.lib, {b".github/workflows/ci.yml": b"on: push\n"})
    (kept,) = await desk.deliver()
    assert kept.kind == "undelivered"
    assert kept.body["text"].startswith("lib: Not delivered")
    (question,) = desk.asked
    assert question.startswith("lib: It changes protected paths: .github/workflows/ci.yml.")
    (told,) = await desk.told()
    assert told["repository"] == two.names[0]


async def test_a_push_that_one_refuses_loses_nothing_and_does_not_hold_up_the_other(
    two: Two,
) -> None:
    desk, branch = two.desk, two.desk.lease.branch
    hook = two.origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'no work on Sundays'\nexit 1\n")
    hook.chmod(0o755)
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    git_tree.write(two.lib, {b"lib.py": b"x = 2\n"})
    (refused,) = await desk.deliver()
    said = refused.body["text"]
    assert said.startswith("lib: Not delivered")
    assert "no work on Sundays" in said
    assert "it is in the session and in its checkpoint" in said
    assert desk.at(branch)
    (pull,) = await two.pulls()
    assert "Together with" not in pull["body"]
    hook.unlink()
    await next_turn(desk, "again")
    assert await desk.deliver() == []
    assert head_of(two.origin, branch) == git_tree.line(two.lib, "rev-parse", "HEAD")
    shop, lib = await two.pulls()
    assert lib["html_url"] in shop["body"]


async def test_a_branch_that_somebody_moved_is_left_in_that_repository_alone(two: Two) -> None:
    desk, branch = two.desk, two.desk.lease.branch
    git_tree.write(two.lib, {b"lib.py": b"x = 2\n"})
    await desk.deliver()
    elsewhere = desk.root / "elsewhere"
    git_tree.git(desk.root, "clone", "-q", "-b", branch, str(two.origin), str(elsewhere))
    git_tree.commit(elsewhere, {b"theirs": b"1\n"}, "Theirs")
    git_tree.git(elsewhere, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
    desk.answers = ["Push it"]
    git_tree.write(two.lib, {b"lib.py": b"x = 3\n"})
    git_tree.write(desk.directory, {b"src/a": b"b\n"})
    assert await desk.deliver() == []
    assert head_of(two.origin, f"{branch}-2")
    assert desk.at(branch)
    assert not desk.at(f"{branch}-2")
    assert await desk.town.value("SELECT branch FROM session") == branch
    git_tree.write(two.lib, {b"lib.py": b"x = 4\n"})
    assert await desk.deliver() == []
    newest = git_tree.line(two.lib, "rev-parse", "HEAD")
    assert head_of(two.origin, f"{branch}-2") == newest


async def test_only_those_of_its_project_that_were_not_removed_are_a_sessions(two: Two) -> None:
    town = two.desk.town
    async with town.database.begin() as tx:
        (found,) = await of_session(tx, two.desk.lease.session_id)
    assert isinstance(found, Beside)
    assert (found.id, found.name) == (two.lib_id, "lib")
    await town.rows("UPDATE project_repository SET removed_at = now() RETURNING id")
    async with town.database.begin() as tx:
        assert await of_session(tx, two.desk.lease.session_id) == []
