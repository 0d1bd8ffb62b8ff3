"""What a turn leaves goes to a real git server: committed, pushed by compare-and-swap, told."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.config import Settings
from bot.store.blobs import DirectoryBlobs
from bot.store.ids import new_id
from bot.work import scratch, secret_scan
from bot.work.agent_previews import forward
from bot.work.checkpoint import Checkpoints
from bot.work.delivery_words import PUSH
from bot.work.queue import LeaseLost
from bot.work.scratch import Scratch
from bot.work.showing import SHOWN_MAX
from tests.fakes import git_server, git_tree
from tests.integration.conftest import Town
from tests.integration.work.delivery_rig import Desk, bare, bare_imported, open_desk

ROW = "SELECT ref, commit, told FROM branch"


@pytest.fixture
async def desk(town: Town, tmp_path: Path) -> Desk:
    """On a plain git host, reached by HTTP."""
    origin = bare(tmp_path / "srv" / "demo.git")
    with git_server.serve(tmp_path / "srv") as place:
        yield await open_desk(town, tmp_path, origin, f"http://{place}/demo.git")


async def test_what_lies_there_is_committed_for_its_asker_and_pushed(desk: Desk) -> None:
    git_tree.write(desk.directory, {b"README": b"changed\n", b"new": b"1\n2\n"})
    assert await desk.deliver() == []
    branch = desk.lease.branch
    assert branch == f"ona/{desk.lease.short}"
    assert desk.log(branch, "%an <%ae> by %cn") == [
        f"Ann <{desk.town.people['Ann']}@users.noreply.ona.invalid> by ona"
    ]
    (said,) = [desk.log(branch, "%B")]
    assert said[0] == "fix the failing test in payments"
    assert f"Ona-Session: {desk.lease.short}" in said
    assert "Co-authored-by: Claude Code <noreply@anthropic.com>" in said
    (told,) = await desk.told()
    head = desk.at(branch)
    facts = ("branch", "commit", "files", "insertions", "deletions", "url", "why_not", "conflicts")
    assert [told[name] for name in facts] == [branch, head, 2, 3, 1, None, "", []]
    assert await desk.town.rows(ROW) == [(f"refs/heads/{branch}", head, head)]
    assert list((desk.root / "deliveries").iterdir()) == []


async def test_the_agents_own_commits_stay_as_they_are_and_are_its_askers(desk: Desk) -> None:
    signed = await desk.delivery.environment(desk.turn)
    git_tree.write(desk.directory, {b"one": b"1\n"})
    git_tree.git(desk.directory, "add", "-A")
    git_tree.git(desk.directory, "commit", "-q", "-m", "Mine", env=signed)
    commit = git_tree.line(desk.directory, "rev-parse", "HEAD")
    assert await desk.deliver() == []
    assert desk.at(desk.lease.branch) == commit
    assert desk.log(desk.lease.branch, "%an %s") == ["Ann Mine"]


async def test_what_tools_leave_behind_is_not_committed_unless_the_repository_has_it(
    desk: Desk,
) -> None:
    left = {b"pkg/__pycache__/a.pyc": b"x", b"node_modules/a/i.js": b"x", b".DS_Store": b"x"}
    git_tree.write(desk.directory, left)
    assert await desk.deliver() == []
    assert desk.at(desk.lease.branch) == ""
    git_tree.write(desk.directory, {b"code": b"1\n"})
    git_tree.git(desk.directory, "add", "-f", ".DS_Store")
    assert await desk.deliver() == []
    files = git_tree.line(desk.directory, "show", "--name-only", "--format=", "HEAD").split()
    assert files == [".DS_Store", "code"]


async def test_a_turn_that_changes_nothing_pushes_nothing(desk: Desk) -> None:
    assert await desk.deliver() == []
    assert desk.at(desk.lease.branch) == ""
    assert await desk.told() == []


async def test_a_second_delivery_of_the_same_says_nothing_and_another_goes_on_top(
    desk: Desk,
) -> None:
    git_tree.write(desk.directory, {b"one": b"1\n"})
    await desk.deliver()
    await desk.deliver()
    assert len(await desk.told()) == 1
    git_tree.write(desk.directory, {b"two": b"2\n"})
    await desk.deliver()
    assert len(desk.log(desk.lease.branch, "%s")) == 2
    first, second = await desk.told()
    assert (first["files"], second["files"]) == (1, 2)


async def test_rewritten_commits_replace_those_that_the_session_itself_pushed(desk: Desk) -> None:
    git_tree.commit(desk.directory, {b"one": b"1\n"}, "First try")
    await desk.deliver()
    git_tree.git(desk.directory, "commit", "-q", "--amend", "-m", "Second try")
    await desk.deliver()
    assert desk.asked == []
    assert desk.log(desk.lease.branch, "%s") == ["Second try"]


async def test_who_takes_over_after_the_push_tells_it_once(desk: Desk, monkeypatch) -> None:
    git_tree.write(desk.directory, {b"one": b"1\n"})
    rows = desk.delivery._means.rows

    async def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(rows), "pushed", dies)
        with pytest.raises(KeyboardInterrupt):
            await desk.deliver()
    head = desk.at(desk.lease.branch)
    assert head
    assert await desk.told() == []
    await desk.deliver()
    (told,) = await desk.told()
    assert told["commit"] == head == desk.at(desk.lease.branch)


async def test_fenced_who_lost_the_lease_writes_nothing_and_pushes_nothing(desk: Desk) -> None:
    git_tree.write(desk.directory, {b"one": b"1\n"})
    desk.lease.lost = True
    with pytest.raises(LeaseLost):
        await desk.deliver()
    assert desk.at(desk.lease.branch) == ""
    assert await desk.told() == []


async def test_a_branch_that_somebody_moved_is_left_alone_and_people_choose(desk: Desk) -> None:
    git_tree.write(desk.directory, {b"one": b"1\n"})
    await desk.deliver()
    theirs = desk.push_from_elsewhere(desk.lease.branch, {b"theirs": b"!\n"})
    git_tree.write(desk.directory, {b"two": b"2\n"})
    (event,) = await desk.deliver()
    assert event.kind == "undelivered"
    assert "stay in the session" in event.body["text"]
    assert "Somebody else pushed to" in desk.asked[0]
    assert desk.at(desk.lease.branch) == theirs
    own = desk.lease.branch
    desk.answers = [PUSH]
    assert await desk.deliver() == []
    assert desk.at(own) == theirs
    assert desk.lease.branch == f"{own}-2"
    assert desk.at(f"{own}-2") == git_tree.line(desk.directory, "rev-parse", "HEAD")
    assert await desk.town.value("SELECT branch FROM session") == f"{own}-2"


async def test_who_pushes_between_our_look_and_our_push_is_not_overwritten(
    desk: Desk, monkeypatch
) -> None:
    git_tree.write(desk.directory, {b"one": b"1\n"})
    await desk.deliver()
    theirs = []
    push = Scratch.push

    async def late(here: Scratch, branch: str, *, expected: str) -> None:
        if not theirs:
            theirs.append(desk.push_from_elsewhere(branch, {b"theirs": b"!\n"}))
        await push(here, branch, expected=expected)

    monkeypatch.setattr(Scratch, "push", late)
    git_tree.write(desk.directory, {b"two": b"2\n"})
    (event,) = await desk.deliver()
    assert event.kind == "undelivered"
    assert len(desk.asked) == 1
    assert desk.at(desk.lease.branch) == theirs[0]


async def test_a_branch_that_was_there_before_is_somebody_elses(desk: Desk) -> None:
    theirs = desk.push_from_elsewhere(desk.lease.branch, {b"theirs": b"!\n"})
    git_tree.write(desk.directory, {b"one": b"1\n"})
    await desk.deliver()
    assert len(desk.asked) == 1
    assert desk.at(desk.lease.branch) == theirs


async def test_what_somebody_pushed_and_the_agent_took_in_is_no_obstacle(desk: Desk) -> None:
    git_tree.write(desk.directory, {b"one": b"1\n"})
    await desk.deliver()
    desk.push_from_elsewhere(desk.lease.branch, {b"theirs": b"!\n"})
    git_tree.git(desk.directory, "pull", "-q", str(desk.origin), desk.lease.branch)
    git_tree.write(desk.directory, {b"two": b"2\n"})
    assert await desk.deliver() == []
    assert desk.asked == []
    assert len(desk.log(desk.lease.branch, "%s")) == 3


async def test_conflicts_with_a_base_that_moved_are_told_and_nothing_is_lost(desk: Desk) -> None:
    desk.push_from_elsewhere("main", {b"README": b"theirs\n"})
    git_tree.write(desk.directory, {b"README": b"ours\n"})
    await desk.deliver()
    (told,) = await desk.told()
    assert told["conflicts"] == ["README"]
    assert desk.at(desk.lease.branch) == told["commit"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({b".github/workflows/ci.yml": b"on: push\n"}, "protected paths: .github/workflows/ci.yml"),
        ({b"key": b"glpat-" + b"x" * 20 + b"\n"}, "looks like a secret is in key:1 (token)"),
        ({b"large": b"1\n" * 5_001}, "1 files and 5001 lines, where the policy lets 200 and 5000"),
    ],
)
async def test_a_person_lets_pass_what_the_policy_does_not(
    desk: Desk, files: git_tree.Files, words: str
) -> None:
    git_tree.write(desk.directory, files)
    (event,) = await desk.deliver()
    assert event.kind == "undelivered"
    assert words in desk.asked[0]
    assert desk.at(desk.lease.branch) == ""
    desk.answers = [PUSH]
    assert await desk.deliver() == []
    assert desk.at(desk.lease.branch)


async def test_a_secret_that_a_later_commit_removes_is_pushed_all_the_same(desk: Desk) -> None:
    git_tree.commit(desk.directory, {b"key": b"glpat-" + b"x" * 20 + b"\n"}, "Oops")
    git_tree.commit(desk.directory, {b"key": b"nothing\n"}, "Better")
    await desk.deliver()
    assert "looks like a secret is in key:1" in desk.asked[0]
    assert desk.at(desk.lease.branch) == ""


async def test_a_secret_that_was_put_into_a_merge_is_found(desk: Desk) -> None:
    own = git_tree.line(desk.directory, "rev-parse", "--abbrev-ref", "HEAD")
    git_tree.git(desk.directory, "checkout", "-q", "-b", "side")
    git_tree.commit(desk.directory, {b"side": b"1\n"}, "Side")
    git_tree.git(desk.directory, "checkout", "-q", own)
    git_tree.commit(desk.directory, {b"one": b"1\n"}, "Own")
    git_tree.git(desk.directory, "merge", "-q", "--no-ff", "--no-commit", "side")
    git_tree.commit(desk.directory, {b"key": b"glpat-" + b"x" * 20 + b"\n"}, "Merge")
    git_tree.commit(desk.directory, {b"key": b"nothing\n"}, "Better")
    (event,) = await desk.deliver()
    assert event.kind == "undelivered"
    assert "looks like a secret is in key:1" in desk.asked[0]
    assert desk.at(desk.lease.branch) == ""


async def test_what_is_too_much_to_be_looked_through_is_large(desk: Desk, monkeypatch) -> None:
    monkeypatch.setattr(secret_scan, "LOOKED_MAX", 1_000)
    git_tree.write(desk.directory, {b"many": b"1\n" * 100})
    (event,) = await desk.deliver()
    assert event.kind == "undelivered"
    assert "It is large: 1 files and 100 lines" in desk.asked[0]


async def test_what_the_agent_pushed_by_itself_is_looked_at_and_told(desk: Desk) -> None:
    git_tree.commit(desk.directory, {b".gitlab-ci.yml": b"x\n"}, "Mine")
    pushing = ("push", "-q", str(desk.origin), f"HEAD:refs/heads/{desk.lease.branch}")
    git_tree.git(desk.directory, *pushing)
    (event,) = await desk.deliver()
    assert event.kind == "notice"
    assert "pushed this by itself" in event.body["text"]
    assert "protected paths: .gitlab-ci.yml" in event.body["text"]
    assert desk.asked == []
    (told,) = await desk.told()
    assert told["commit"] == desk.at(desk.lease.branch)


async def test_what_was_merged_from_the_base_is_not_the_sessions_own(desk: Desk) -> None:
    git_tree.write(desk.directory, {b"one": b"1\n"})
    await desk.deliver()
    desk.push_from_elsewhere("main", {b".gitlab-ci.yml": b"x\n", b"large": b"1\n" * 6_000})
    git_tree.git(desk.directory, "pull", "-q", "--no-rebase", str(desk.origin), "main")
    git_tree.write(desk.directory, {b"two": b"2\n"})
    assert await desk.deliver() == []
    assert desk.asked == []
    assert [one["files"] for one in await desk.told()] == [1, 2]


async def test_what_takes_the_hosts_memory_to_look_at_is_refused_clearly(
    desk: Desk, monkeypatch
) -> None:
    # Of 60 MB git would take 2.5 GB, and no more than half a megabyte of them comes out.
    monkeypatch.setattr(scratch, "MEMORY_BYTES_MAX", 64 << 20)
    git_tree.write(desk.directory, {b"large": b"\n" * 3_000_000})
    (event,) = await desk.deliver()
    assert "it takes more memory than there is for that" in event.body["text"]
    assert "take large files out of the commits" in event.body["text"]
    assert desk.at(desk.lease.branch) == ""
    git_tree.write(desk.directory, {b"large": b"small\n"})
    git_tree.git(desk.directory, "commit", "-q", "-a", "--amend", "-m", "Smaller")
    assert await desk.deliver() == []


async def test_a_file_of_git_lfs_is_refused_clearly(desk: Desk) -> None:
    files = {b".gitattributes": b"*.bin filter=lfs -text\n", b"a.bin": b"\0", b"b.txt": b"b\n"}
    git_tree.write(desk.directory, files)
    (event,) = await desk.deliver()
    assert "a.bin is kept in Git LFS" in event.body["text"]
    assert desk.at(desk.lease.branch) == ""


async def test_a_hook_of_the_code_host_that_refuses_is_quoted(desk: Desk) -> None:
    hook = desk.origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'no work on Sundays'\nexit 1\n")
    hook.chmod(0o755)
    git_tree.write(desk.directory, {b"one": b"1\n"})
    (event,) = await desk.deliver()
    assert "refuses the branch" in event.body["text"]
    assert "no work on Sundays" in event.body["text"]
    assert git_tree.line(desk.directory, "log", "-1", "--format=%an") == "Ann"


async def test_a_branch_that_the_code_host_protects_is_told_with_its_words(desk: Desk) -> None:
    hook = desk.origin / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    words = "GitLab: You are not allowed to push code to protected branches on this project."
    hook.write_text(f'#!/bin/sh\ncase "$1" in refs/heads/ona/*) echo "{words}"; exit 1;; esac\n')
    hook.chmod(0o755)
    git_tree.write(desk.directory, {b"one": b"1\n"})
    (event,) = await desk.deliver()
    assert f"refuses the branch {desk.lease.branch}" in event.body["text"]
    assert words in event.body["text"]
    hook.unlink()
    assert await desk.deliver() == []
    assert desk.at(desk.lease.branch)


async def test_a_disk_that_is_full_in_the_machine_loses_no_work(desk: Desk) -> None:
    git_tree.write(desk.directory, {b"large": os.urandom(400_000)})
    # What git writes may not grow beyond that, as if nothing were left.
    desk.machine.wrapper = ["env", "--ignore-signal=XFSZ", "prlimit", "--fsize=100000", "--"]
    (event,) = await desk.deliver()
    assert event.kind == "undelivered"
    assert "could not be committed in the machine" in event.body["text"]
    assert "its files are in the machine" in event.body["text"]
    desk.machine.wrapper = []
    assert await desk.deliver() == []
    assert len(git_tree.git(desk.origin, "show", f"{desk.lease.branch}:large")) == 400_000


@pytest.mark.slow
@pytest.mark.long
async def test_a_repository_with_100_000_files_is_cloned_kept_and_delivered(
    town: Town, tmp_path: Path
) -> None:
    files = {b"%02d/%02d/%d.txt" % (n % 97, n % 89, n): b"%d\n" % n for n in range(100_000)}
    origin = bare_imported(tmp_path / "many.git", files)
    desk = await open_desk(town, tmp_path, origin, str(origin))
    checkpoints = Checkpoints(
        town.database,
        DirectoryBlobs(tmp_path / "blobs"),
        bytes_max=1 << 20,
        inline_bytes_max=1 << 16,
        file_bytes_max=1 << 18,
    )
    git_tree.write(desk.directory, {b"01/01/new.txt": b"new\n"})
    saved = await checkpoints.save(
        desk.lease, desk.turn, desk.machine, directory=str(desk.directory)
    )
    assert saved.notices == ()
    assert saved.size < 100_000
    assert await desk.deliver() == []
    (told,) = await desk.told()
    assert (told["files"], told["insertions"]) == (1, 1)


async def test_a_code_host_that_is_away_loses_nothing(desk: Desk) -> None:
    git_tree.write(desk.directory, {b"one": b"1\n"})
    moved = desk.origin.rename(desk.origin.with_name("away.git"))
    (event,) = await desk.deliver()
    assert "can't be reached" in event.body["text"]
    assert "the next turn tries again" in event.body["text"]
    moved.rename(desk.origin)
    assert await desk.deliver() == []
    assert desk.at(desk.lease.branch)


async def test_a_rebase_under_way_is_left_alone(desk: Desk) -> None:
    git_tree.commit(desk.directory, {b"README": b"ours\n"}, "Ours")
    (desk.directory / ".git" / "rebase-merge").mkdir()
    (event,) = await desk.deliver()
    assert "a merge or rebase is under way" in event.body["text"]
    assert desk.at(desk.lease.branch) == ""


async def test_a_repository_within_is_left_out_and_told(desk: Desk) -> None:
    git_tree.make(desk.directory / "vendor", {b"x": b"x\n"})
    git_tree.write(desk.directory, {b"one": b"1\n"})
    (event,) = await desk.deliver()
    assert event.body["text"].endswith("a repository of its own: vendor.")
    listed = git_tree.git(desk.origin, "ls-tree", "--name-only", desk.lease.branch)
    assert listed.split() == [b"README", b"one", b"src"]


async def test_a_submodule_that_moves_is_pushed_and_told(desk: Desk) -> None:
    git_tree.make(desk.root / "lib", {b"x": b"x\n"})
    allowed = {"GIT_ALLOW_PROTOCOL": "file"}
    git_tree.git(
        desk.directory, "submodule", "add", "-q", str(desk.root / "lib"), "lib", env=allowed
    )
    assert await desk.deliver() == []
    (told,) = await desk.told()
    assert told["submodules"] == ["lib"]
    listed = git_tree.git(desk.origin, "ls-tree", desk.lease.branch, "lib")
    assert listed.startswith(b"160000 commit ")


@pytest.mark.parametrize("policy", ["[delivery]\nmode = 'none'\n", ""])
async def test_private_work_and_what_the_policy_keeps_is_not_pushed(
    desk: Desk, policy: str
) -> None:
    if policy:
        await desk.policy(policy)
    else:
        await desk.town.rows(
            "UPDATE session SET private_to = :ann RETURNING 1", ann=desk.town.people["Ann"]
        )
    git_tree.write(desk.directory, {b"one": b"1\n"})
    assert await desk.deliver() == []
    assert desk.at(desk.lease.branch) == ""
    assert git_tree.line(desk.directory, "log", "-1", "--format=%s") == "First"


@pytest.mark.parametrize("how", [str, lambda path: f"file://{path}"])
async def test_a_repository_of_this_host_is_pushed_to_as_well(
    town: Town, tmp_path: Path, how: Callable[[Path], str]
) -> None:
    origin = bare(tmp_path / "demo.git")
    desk = await open_desk(town, tmp_path, origin, how(origin))
    git_tree.write(desk.directory, {b"one": b"1\n"})
    assert await desk.deliver() == []
    assert desk.at(desk.lease.branch)


def with_browser(desk: Desk, *, exit_status: int = 0) -> Path:
    """Let the machine have `ona-preview`, which notes what it is asked."""
    tools, asked = desk.root / "tools", desk.root / "asked"
    tools.mkdir()
    asked.touch()
    for name, script in {
        "ona-inside": 'exec "$@"',
        "ona-preview": f'echo "$@" >> {asked}; echo no Chromium >&2; exit {exit_status}',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    desk.machine.wrapper = ["env", f"PATH={tools}:{os.environ['PATH']}"]
    return asked


async def test_what_is_delivered_is_shown_by_the_newest_previews_once(desk: Desk) -> None:
    asked = with_browser(desk)
    session = desk.lease.session_id
    await forward(Settings(port=8484), desk.town.database, session, [3000, 3001, 3002])
    assert await desk.deliver() == []
    assert asked.read_text() == "", "nothing changed, so there is nothing new to see"
    git_tree.write(desk.directory, {b"README": b"changed\n"})
    assert await desk.deliver() == []
    assert asked.read_text() == "3002 --picture\n3001 --picture\n"
    assert await desk.deliver() == []
    assert asked.read_text().count("\n") == SHOWN_MAX


async def test_what_the_agent_has_shown_itself_is_not_shown_again(desk: Desk) -> None:
    asked = with_browser(desk)
    await forward(Settings(port=8484), desk.town.database, desk.lease.session_id, [3000])
    await desk.town.rows(
        "INSERT INTO picture (id, session_id, turn_id, media_type, data, posted_at)"
        " VALUES (:id, :session, :turn, 'image/png', '', now()) RETURNING id",
        id=new_id(),
        session=desk.lease.session_id,
        turn=desk.turn.id,
    )
    git_tree.write(desk.directory, {b"README": b"changed\n"})
    assert await desk.deliver() == []
    assert asked.read_text() == ""


async def test_a_machine_without_a_browser_delivers_all_the_same(desk: Desk) -> None:
    with_browser(desk, exit_status=1)
    await forward(Settings(port=8484), desk.town.database, desk.lease.session_id, [3000])
    git_tree.write(desk.directory, {b"README": b"changed\n"})
    assert await desk.deliver() == []
    assert len(await desk.told()) == 1
