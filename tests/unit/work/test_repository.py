"""The host's mirror of a project's repository, and its clone in a machine."""

import asyncio
import fcntl
import os
import signal
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from bot.errors import NotFound, OnaError, Refused, TellPerson, TooLarge
from bot.words.catalogue import speaking
from bot.work.mirror import default_branch, listing_of
from bot.work.remote import remote
from bot.work.repository import Base, MirrorLimits, Repositories, clone_into
from tests.fakes import git_tree
from tests.fakes.local_machine import LocalMachine

PROJECT = UUID(int=1)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Somebody's repository on this host."""
    directory = tmp_path / "origin"
    git_tree.make(directory, {b"README": b"hello\n", b"run": ("x", b"#!/bin/sh\n")})
    return directory


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return Repositories(tmp_path / "mirrors", MirrorLimits(seconds_max=60))


@pytest.fixture
def machine(tmp_path: Path) -> LocalMachine:
    (tmp_path / "machine").mkdir()
    return LocalMachine(tmp_path / "machine")


async def clone(
    repositories: Repositories, machine: LocalMachine, origin: Path, base: Base | None = None
) -> str | None:
    await repositories.update(PROJECT, str(origin))
    cloned = await clone_into(
        machine,
        repositories,
        PROJECT,
        base or await repositories.base(PROJECT, None),
        branch="ona/s-7f3kd",
        directory=str(machine.directory),
        origin_url=str(origin),
    )
    return cloned.aside


async def test_a_base_is_the_default_branch_as_it_is_at_the_latest_update(
    origin: Path, repositories: Repositories
) -> None:
    await repositories.update(PROJECT, str(origin))
    first = await repositories.base(PROJECT, None)
    second = git_tree.commit(origin, {b"more": b"1"})
    git_tree.git(origin, "branch", "release")
    await repositories.update(PROJECT, str(origin))
    assert first.branch == "main"
    assert await repositories.base(PROJECT, None) == Base(commit=second, branch="main")
    assert await repositories.base(PROJECT, "release") == Base(commit=second, branch="release")


async def test_branches_that_the_remote_removed_or_rewrote_follow_it(
    origin: Path, repositories: Repositories
) -> None:
    git_tree.git(origin, "branch", "old")
    await repositories.update(PROJECT, str(origin))
    git_tree.git(origin, "branch", "-D", "old")
    git_tree.git(origin, "branch", "old/deeper")
    git_tree.git(origin, "commit", "-q", "--amend", "-m", "Rewritten")
    await repositories.update(PROJECT, str(origin))
    base = await repositories.base(PROJECT, None)
    assert base.commit == git_tree.line(origin, "rev-parse", "HEAD")
    with pytest.raises(NotFound, match=r"no branch “old”.*did you mean old/deeper\?"):
        await repositories.base(PROJECT, "old")
    with speaking("de"), pytest.raises(NotFound, match="meintest du old/deeper"):
        await repositories.base(PROJECT, "old")


async def test_a_remote_with_a_detached_head_is_started_from_that_commit(
    origin: Path, repositories: Repositories
) -> None:
    first = git_tree.line(origin, "rev-parse", "HEAD")
    git_tree.commit(origin)
    git_tree.git(origin, "checkout", "-q", "--detach", first)
    await repositories.update(PROJECT, str(origin))
    assert await repositories.base(PROJECT, None) == Base(commit=first, branch="")


async def test_a_branch_is_a_name_and_never_an_expression(
    origin: Path, repositories: Repositories
) -> None:
    git_tree.commit(origin)
    await repositories.update(PROJECT, str(origin))
    for name in ("main~1", "main^{tree}", "--all", "", "../tags/x", "ma*"):
        with pytest.raises(NotFound, match="no branch"):
            await repositories.base(PROJECT, name)


@pytest.mark.parametrize(
    ("listing", "branch"),
    [
        ("ref: refs/heads/dev\tHEAD\n1\tHEAD\n1\trefs/heads/dev\n", "refs/heads/dev"),
        ("1\trefs/heads/only\n", "refs/heads/only"),
        ("1\trefs/heads/main\n2\trefs/heads/other\n", "refs/heads/main"),
        ("1\trefs/heads/a\n2\trefs/heads/b\n", None),
        ("1\tHEAD\n1\trefs/heads/main\n", None),
        (
            "ref: refs/heads/gone\tHEAD\n1\trefs/heads/master\n2\trefs/heads/x\n",
            "refs/heads/master",
        ),
    ],
)
def test_the_default_branch_is_the_remotes_own_or_the_one_nobody_would_doubt(
    listing: str, branch: str | None
) -> None:
    assert default_branch(listing_of(listing)) == branch


async def test_a_repository_that_is_not_there_is_said_to_be_missing(
    tmp_path: Path, repositories: Repositories
) -> None:
    (tmp_path / "plain").mkdir()
    for path in (tmp_path / "nowhere", tmp_path / "plain"):
        with pytest.raises(NotFound) as raised:
            await repositories.update(PROJECT, str(path))
        assert f"no git repository at {path}" in raised.value.happened
        assert raised.value.kept == "nothing was changed", "no session need be there"
        assert "correct the project's repository" in raised.value.do


async def test_a_repository_without_a_commit_is_said_to_be_empty(
    tmp_path: Path, repositories: Repositories
) -> None:
    (tmp_path / "empty").mkdir()
    git_tree.git(tmp_path / "empty", "init", "-q")
    with pytest.raises(Refused, match=r"is empty: it has no commit.*push a first commit"):
        await repositories.update(PROJECT, str(tmp_path / "empty"))


async def test_a_server_that_is_away_is_named_without_its_credentials(
    repositories: Repositories,
) -> None:
    with pytest.raises(TellPerson) as raised:
        await repositories.update(PROJECT, "https://ada:s3cr3t-token@127.0.0.1:9/shop.git")
    assert "https://127.0.0.1:9/shop.git can't be reached" in str(raised.value)
    assert "s3cr3t" not in str(raised.value)
    assert "ada" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "relative/path",
        "ext::sh -c 'touch /tmp/x'",
        "ext::x",
        "fd::17",
        "-oProxyCommand=x:y",
        "ssh://-oProxyCommand=x/y",
        "https://",
        "https://host:port/x",
        "ftp://host/x",
        "/path\nwith a line",
        "https://host/a b",
        "x" * 3000,
    ],
)
def test_what_is_neither_url_nor_path_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="neither a URL"):
        remote(url)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://ada:pw@h.example/x.git", "https://h.example/x.git"),
        ("https://token@h.example:8443/x", "https://h.example:8443/x"),
        ("ssh://git:pw@h.example:22/x", "ssh://git@h.example:22/x"),
        ("git@h.example:o/x.git", "git@h.example:o/x.git"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("/srv/git/x/", "/srv/git/x"),
        ("file:///srv/x", "file:///srv/x"),
    ],
)
def test_an_address_has_no_credentials_in_it(url: str, address: str) -> None:
    assert remote(url).address == address
    assert "pw" not in repr(remote(url))


async def test_a_repository_over_the_size_limit_is_refused(origin: Path, tmp_path: Path) -> None:
    git_tree.commit(origin, {b"large": os.urandom(3_000_000)})
    repositories = Repositories(tmp_path / "m", MirrorLimits(seconds_max=60, bytes_max=1_000_000))
    with pytest.raises(TooLarge, match=r"larger than 0\.001 GB"):
        await repositories.update(PROJECT, str(origin))


async def test_an_update_that_waits_too_long_for_another_one_gives_up(
    origin: Path, tmp_path: Path
) -> None:
    mirrors = tmp_path / "mirrors"
    repositories = Repositories(mirrors, MirrorLimits(seconds_max=0.3))
    mirrors.mkdir()
    with (mirrors / f"{PROJECT}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Refused, match=r"did not arrive within 0\.3 s"):
            await repositories.update(PROJECT, str(origin))


async def test_updates_at_once_line_up_and_all_succeed(
    origin: Path, repositories: Repositories
) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(repositories.update(PROJECT, str(origin)))
    assert (await repositories.base(PROJECT, None)).branch == "main"


FETCHER = """
import asyncio, sys
from pathlib import Path
from uuid import UUID
from bot.work.repository import Repositories
print("begun", flush=True)
asyncio.run(Repositories(Path(sys.argv[1])).update(UUID(int=1), sys.argv[2]))
"""


async def test_a_mirror_whose_fetch_was_killed_at_any_moment_heals(
    origin: Path, tmp_path: Path
) -> None:
    for number in range(40):
        git_tree.git(origin, "branch", f"b{number}")
    git_tree.commit(origin, {b"large": os.urandom(4_000_000)})
    mirrors = tmp_path / "mirrors"
    for delay in (0.05, 0.15, 0.3):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FETCHER, str(mirrors), str(origin), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await process.stdout.readline()
        await asyncio.sleep(delay)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.communicate()
    (mirrors / f"{PROJECT}.git" / "packed-refs.lock").parent.mkdir(parents=True, exist_ok=True)
    (mirrors / f"{PROJECT}.git" / "packed-refs.lock").touch()
    repositories = Repositories(mirrors, MirrorLimits(seconds_max=60))
    await repositories.update(PROJECT, str(origin))
    base = await repositories.base(PROJECT, None)
    assert base.commit == git_tree.line(origin, "rev-parse", "HEAD")
    git_tree.git(mirrors / f"{PROJECT}.git", "fsck", "--connectivity-only")
    assert not list(mirrors.rglob("*.lock")) or list(mirrors.rglob("*.lock")) == [
        mirrors / f"{PROJECT}.lock"
    ]


async def test_a_damaged_mirror_is_made_anew(
    origin: Path, repositories: Repositories, machine: LocalMachine, tmp_path: Path
) -> None:
    await repositories.update(PROJECT, str(origin))
    base = await repositories.base(PROJECT, None)
    mirror = tmp_path / "mirrors" / f"{PROJECT}.git"
    for path in (mirror / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(OnaError):
        await clone_into(
            machine,
            repositories,
            PROJECT,
            base,
            branch="ona/x",
            directory=str(machine.directory),
            origin_url=str(origin),
        )
    assert not machine.directory.exists()
    assert await clone(repositories, machine, origin) is None
    assert (machine.directory / "README").read_text() == "hello\n"


async def test_a_clone_is_on_its_own_branch_with_history_tags_and_origin(
    origin: Path, repositories: Repositories, machine: LocalMachine
) -> None:
    git_tree.git(origin, "tag", "-a", "v1", "-m", "one")
    git_tree.commit(origin, {b"run": ("x", b"#!/bin/sh\necho\n")})
    git_tree.git(origin, "tag", "light")
    git_tree.git(origin, "branch", "other")
    assert await clone(repositories, machine, origin) is None
    there = machine.directory
    head = git_tree.line(origin, "rev-parse", "HEAD")
    assert git_tree.line(there, "rev-parse", "HEAD", "origin/main", "refs/ona/base") == "\n".join(
        [head] * 3
    )
    assert git_tree.line(there, "symbolic-ref", "HEAD") == "refs/heads/ona/s-7f3kd"
    assert git_tree.line(there, "remote", "get-url", "origin") == str(origin)
    assert git_tree.line(there, "describe", "--match", "v*").startswith("v1-1-")
    assert git_tree.line(there, "tag", "--list") == "light\nv1"
    assert git_tree.line(there, "status", "--porcelain") == ""
    assert git_tree.on_disk(there) == git_tree.on_disk(origin)
    assert git_tree.line(there, "rev-parse", "--abbrev-ref", "origin/HEAD") == "origin/main"
    assert len(machine.calls) == 1


async def test_hooks_templates_and_global_settings_of_this_host_are_not_used(
    origin: Path,
    repositories: Repositories,
    machine: LocalMachine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = tmp_path / "ran"
    hooks = tmp_path / "home" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "home" / ".gitconfig").write_text(
        f"[core]\nhooksPath = {hooks}\n[uploadpack]\npackObjectsHook = 'touch {ran}; false'\n"
    )
    git_tree.git(origin, "config", "uploadpack.packObjectsHook", f"touch {ran}; false")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    await clone(repositories, machine, origin)
    assert not ran.exists()


async def test_a_repository_of_another_owner_on_this_host_is_read(
    origin: Path, repositories: Repositories, machine: LocalMachine
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives files away")
    for path in [origin, *origin.rglob("*")]:
        os.lchown(path, 12345, 12345)
    await clone(repositories, machine, origin)
    assert (machine.directory / "README").exists()


async def test_a_shallow_checkout_can_be_a_project(
    origin: Path, repositories: Repositories, machine: LocalMachine, tmp_path: Path
) -> None:
    for number in range(5):
        git_tree.commit(origin, {b"README": b"%d\n" % number})
    git_tree.git(tmp_path, "clone", "-q", "--depth", "2", f"file://{origin}", "shallow")
    await clone(repositories, machine, tmp_path / "shallow")
    assert git_tree.line(machine.directory, "rev-list", "--count", "HEAD") == "2"
    git_tree.git(machine.directory, "fsck")


async def test_a_kept_base_can_be_cloned_after_the_remote_forgot_it(
    origin: Path, repositories: Repositories, machine: LocalMachine, tmp_path: Path
) -> None:
    await clone(repositories, machine, origin)
    old = await repositories.base(PROJECT, None)
    git_tree.git(origin, "commit", "-q", "--amend", "-m", "Rewritten")
    await repositories.update(PROJECT, str(origin))
    mirror = tmp_path / "mirrors" / f"{PROJECT}.git"
    git_tree.git(mirror, "gc", "-q", "--prune=now")
    (machine.directory / ".git" / "ona-ready").touch()
    aside = await clone(repositories, machine, origin, old)
    assert git_tree.line(machine.directory, "rev-parse", "HEAD") == old.commit
    assert aside == f"{machine.directory}.aside-1"
    gone = Base(commit="1" * 40, branch="main")
    with pytest.raises(NotFound, match=r"111111111111.*isn't in the repository any more"):
        await clone(repositories, machine, origin, gone)


async def test_a_commit_that_the_mirror_has_needs_no_update(
    origin: Path, repositories: Repositories, tmp_path: Path
) -> None:
    assert not await repositories.has(PROJECT, "1" * 40)
    await repositories.update(PROJECT, str(origin))
    base = await repositories.base(PROJECT, None)
    assert await repositories.has(PROJECT, base.commit)
    assert not await repositories.has(PROJECT, "1" * 40)
    assert not await repositories.has(PROJECT, "")
    (tmp_path / "mirrors" / f"{PROJECT}.git" / "ona-damaged").touch()
    assert not await repositories.has(PROJECT, base.commit)


async def test_a_clone_that_broke_off_leaves_nothing_in_place_and_is_repeated(
    origin: Path, repositories: Repositories, machine: LocalMachine
) -> None:
    git_tree.commit(origin, {b"large": os.urandom(1_000_000)})
    machine.cut_after = 500_000
    with pytest.raises(Exception, match="lost"):
        await clone(repositories, machine, origin)
    assert not machine.directory.exists()
    machine.cut_after = None
    assert await clone(repositories, machine, origin) is None
    assert await clone(repositories, machine, origin) is None
    assert [path.name for path in machine.work.iterdir()] == ["shop"]


async def test_files_in_the_place_of_a_clone_are_moved_aside(
    origin: Path, repositories: Repositories, machine: LocalMachine
) -> None:
    machine.directory.mkdir()
    (machine.directory / "notes").write_text("mine")
    aside = await clone(repositories, machine, origin)
    assert aside is not None
    assert (Path(aside) / "notes").read_text() == "mine"
    assert (machine.directory / "README").exists()


async def test_an_unknown_project_has_a_mirror_of_its_own(
    origin: Path, repositories: Repositories
) -> None:
    other = uuid4()
    await repositories.update(other, str(origin))
    assert (await repositories.base(other, "main")).branch == "main"


async def test_mirrors_of_projects_that_are_gone_are_swept(
    origin: Path, repositories: Repositories, tmp_path: Path
) -> None:
    other = uuid4()
    await repositories.update(PROJECT, str(origin))
    await repositories.update(other, str(origin))
    (tmp_path / "mirrors" / f"{other}.git.new").mkdir()
    gone = [f"{other}.git", f"{other}.git.new", f"{other}.lock"]

    async def those_there_are() -> list[UUID]:
        (tmp_path / "mirrors" / f"{uuid4()}.git").mkdir()  # just being added
        return [PROJECT]

    assert await repositories.sweep(those_there_are) == gone
    assert (await repositories.base(PROJECT, None)).branch == "main"
