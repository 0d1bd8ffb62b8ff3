"""A machine of a template that its base branch has left behind: brought up to date when claimed."""

from pathlib import Path

import pytest

from bot.work.lease import Lease
from bot.work.refresh import TEMPLATE_BRANCH
from bot.work.repository import CLONED_MARK
from tests.fakes import git_tree
from tests.integration.conftest import Town
from tests.integration.pool.conftest import Yards
from tests.integration.pool.test_guessed_set_up import Host
from vmpool.machine import Template

SETUP = '["mkdir built && echo yes > built/it", "echo changed > README"]'


@pytest.fixture
def host(town: Town, yards: Yards, tmp_path: Path) -> Host:
    git_tree.make(tmp_path / "origin", {b"README": b"old\n", b"gone": b"soon\n"})
    return Host(town, yards.make(running_max=12, memory_mib_max=100_000), tmp_path)


async def left_behind(host: Host) -> tuple[Template, str]:
    """A template whose machines wait, and the commit that its base branch has moved on to."""
    template = await host.build(SETUP)
    await host.yard.keeper.tend()
    git_tree.replace(host.directory / "origin", {b"README": b"new\n", b"added": b"since\n"})
    newest = git_tree.commit(host.directory / "origin")
    assert template.commit != newest
    return template, newest


async def begun(host: Host, template: Template) -> Lease:
    """A session that was given a machine of the template."""
    lease, place = await host.a_new_session("one")
    assert place.machine_id is not None
    assert (await host.yard.row(place.machine_id)).template_id == template.id
    return lease


def is_at(host: Host, lease: Lease, commit: str) -> None:
    """The session's repository is on its own branch at this commit, and its files are so."""
    at = host.repository
    assert git_tree.line(at, "rev-parse", "HEAD") == commit
    assert git_tree.line(at, "rev-parse", "refs/remotes/origin/main") == commit
    assert git_tree.line(at, "branch", "--format=%(refname:short)") == lease.branch
    assert lease.branch != TEMPLATE_BRANCH
    assert (at / "README").read_text() == "new\n", "what set-up did to tracked files is no work"
    assert (at / "added").read_text() == "since\n"
    assert not (at / "gone").exists()


async def test_a_session_begins_at_the_newest_commit_beside_what_set_up_has_built(host: Host):
    template, newest = await left_behind(host)
    lease = await begun(host, template)
    is_at(host, lease, newest)
    assert (host.repository / "built/it").read_text() == "yes\n"


async def test_what_can_not_be_brought_up_to_date_is_cloned_anew(host: Host):
    template, newest = await left_behind(host)
    (host.repository / ".git" / CLONED_MARK).unlink()
    lease = await begun(host, template)
    is_at(host, lease, newest)
    assert not (host.repository / "built").exists()
