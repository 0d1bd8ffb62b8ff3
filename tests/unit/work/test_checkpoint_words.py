"""What people are told about checkpoints, and how the machine says it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.work.checkpoint_words import changed, not_kept, not_saved, restored, unreadable
from vmpool.guest.worktree.json import as_json
from vmpool.guest.worktree.look import size
from vmpool.guest.worktree.names import names, printable

AT = datetime(2026, 11, 23, 18, 40, tzinfo=UTC)

values = st.recursive(
    st.none() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_a_machines_json_is_json(value: object) -> None:
    text = as_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert "\n" not in text


def test_a_machines_json_has_no_other_types() -> None:
    for value in (True, 1.5, b"x", object()):
        with pytest.raises(TypeError):
            as_json(value)


@given(st.binary())
def test_any_name_of_a_file_is_one_bounded_printable_line(path: bytes) -> None:
    shown = printable(path)
    assert shown.isprintable()
    assert len(shown) <= 121


def test_many_paths_of_a_directory_are_one_line_and_many_lines_are_counted() -> None:
    left = [(b"node_modules/%d" % n, "no room in 1 MB") for n in range(30)]
    assert names(left) == ["node_modules/ (30 files, no room in 1 MB)"]
    lines = names([(b"%03d" % n, "big") for n in range(50)])
    assert len(lines) == 21
    assert lines[-1] == "and 30 more"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (16_777_216, "16.8 MB"),
        (5_300_000_000, "5.3 GB"),
    ],
)
def test_sizes_are_said_in_the_unit_people_would_use(count: int, text: str) -> None:
    assert size(count) == text


def test_a_failure_says_why_what_was_kept_and_where_the_files_are() -> None:
    why = not_kept({"why": "git", "detail": "warning: x\nfatal: bad object\x1b[0m"}, 64_000_000)
    assert why == "fatal: bad object[0m"
    assert not_saved(why, AT) == (
        "No checkpoint of this turn could be stored: fatal: bad object[0m. Its files are in the "
        "machine only; the checkpoint of 2026-11-23 18:40 UTC is kept."
    )
    assert not_saved("x", None).endswith("there is none from before.")
    assert not_kept({"why": "large"}, 64_000_000) == "its commits alone are more than 64 MB"


def test_what_is_left_out_is_told_once() -> None:
    assert changed(["a", "b"], ["a"]) == "Kept in the machine only, not in the checkpoint: b."
    assert changed(["a"], ["a", "b"]) is None
    told = changed([f"file {n}" for n in range(10)], [])
    assert told is not None
    assert told.endswith("file 7; and 2 more.")


def test_a_restored_session_is_told_what_came_back_and_what_did_not() -> None:
    answer = {"branch": "refs/heads/ona/s-1", "head": "1234567890", "changed": 1, "files": 0}
    assert restored(answer, AT, [], []) == (
        "Its checkpoint of 2026-11-23 18:40 UTC was restored: branch ona/s-1 at 123456789, "
        "1 uncommitted file. Not kept: running processes, and files that git ignores, and "
        "anything after that time."
    )
    told = restored({"branch": None, "head": None}, AT, ["film (20 MB)"], [AT])
    assert "no branch, no uncommitted files" in told
    assert "Not kept: film (20 MB); running processes" in told
    assert "The newer one of 2026-11-23 18:40 UTC could not be read" in told
    assert "nothing else was kept" in unreadable([AT])
