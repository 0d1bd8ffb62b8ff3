"""What a delivered turn changed is kept as people read it: bounded, and without secrets."""

import pytest

from bot.work import scratch
from bot.work.delivery_words import PUSH
from tests.fakes import git_server, git_tree
from tests.integration.work.delivery_rig import Desk, bare, next_turn, open_desk

KEPT = "SELECT name, data FROM turn_diff ORDER BY id"


@pytest.fixture
async def desk(town, tmp_path) -> Desk:
    origin = bare(tmp_path / "srv" / "demo.git")
    with git_server.serve(tmp_path / "srv") as place:
        yield await open_desk(town, tmp_path, origin, f"http://{place}/demo.git")


async def test_each_turn_keeps_what_it_changed_itself(desk: Desk) -> None:
    git_tree.write(desk.directory, {b"README": b"changed\n"})
    await desk.deliver()
    await next_turn(desk, "more")
    git_tree.write(desk.directory, {b"new:(x)": b"1\n"})
    await desk.deliver()
    (name, first), (_, second) = await desk.town.rows(KEPT)
    assert name.startswith(desk.lease.short)
    assert name.endswith(".diff")
    assert b"-hello\n+changed\n" in bytes(first)
    assert b"+++ b/new:(x)" in bytes(second)
    assert b"README" not in bytes(second)
    ids = await desk.town.rows("SELECT id FROM turn_diff ORDER BY id")
    told = [one["changes"] for one in await desk.told()]
    assert told == [{"id": str(one), "whole": True} for (one,) in ids]


async def test_what_was_merged_from_the_base_is_not_the_turns_own(desk: Desk) -> None:
    git_tree.write(desk.directory, {b"one": b"1\n"})
    await desk.deliver()
    await next_turn(desk, "merge main")
    desk.push_from_elsewhere("main", {b"theirs": b"theirs\n"})
    git_tree.git(desk.directory, "fetch", "-q", desk.url, "main")
    git_tree.git(desk.directory, "merge", "-q", "--no-edit", "FETCH_HEAD")
    git_tree.write(desk.directory, {b"two": b"2\n"})
    await desk.deliver()
    _, (_, second) = await desk.town.rows(KEPT)
    assert b"b/two" in bytes(second)
    assert b"theirs" not in bytes(second)


async def test_a_long_one_is_cut_between_lines_and_says_so(desk: Desk, monkeypatch) -> None:
    monkeypatch.setattr(scratch, "DIFF_BYTES_MAX", 150)
    git_tree.write(desk.directory, {b"new": b"line\n" * 100})
    await desk.deliver()
    ((_, data),) = await desk.town.rows(KEPT)
    assert 0 < len(data) <= 150
    assert bytes(data).endswith(b"+line\n")
    assert [one["changes"]["whole"] for one in await desk.told()] == [False]


async def test_of_many_files_only_so_many_are_in_it(desk: Desk, monkeypatch) -> None:
    monkeypatch.setattr(scratch, "DIFF_FILES_MAX", 2)
    git_tree.write(desk.directory, {b"a": b"1\n", b"b": b"1\n", b"c": b"1\n"})
    await desk.deliver()
    ((_, data),) = await desk.town.rows(KEPT)
    assert bytes(data).count(b"diff --git") == 2
    assert [one["changes"]["whole"] for one in await desk.told()] == [False]


async def test_what_looks_like_a_secret_is_in_none_even_if_people_let_it_pass(desk: Desk) -> None:
    desk.answers = [PUSH]
    git_tree.write(desk.directory, {b"key": b"token = sk-ant-" + b"a1B2c3D4e5" * 4 + b"\n"})
    await desk.deliver()
    assert len(desk.asked) == 1
    assert await desk.town.rows(KEPT) == []
    (told,) = await desk.told()
    assert "changes" not in told
