"""What git says of differences, read back."""

from pathlib import Path

from bot.work.diffs import added_lines, changed_files
from tests.fakes import git_tree

PLAIN = ("--no-renames", "--no-color")


def test_files_with_any_name_and_binary_ones_are_counted(tmp_path: Path) -> None:
    git_tree.make(tmp_path, {b"a b": b"1\n2\n", b"gone": b"x\n", b"bin": b"\0\1"})
    (tmp_path / "gone").unlink()
    git_tree.commit(tmp_path, {b"a b": b"1\n3\n4\n", b"new\tname": b"n\n", b"bin": b"\0\2"})
    said = git_tree.git(tmp_path, "diff", "--numstat", "-z", *PLAIN, "HEAD~1", "HEAD")
    found = {one.path: (one.insertions, one.deletions) for one in changed_files(said)}
    assert found == {"a b": (2, 1), "gone": (0, 1), "new\tname": (1, 0), "bin": (0, 0)}
    assert changed_files(b"") == []


def test_added_lines_are_where_they_stand_and_what_looks_like_a_header_is_none(
    tmp_path: Path,
) -> None:
    git_tree.make(tmp_path, {b"a": b"1\n2\n3\n"})
    tricky = b"1\n++ b/elsewhere\n@@ -1 +1,9 @@\n3\n-- x\nend"
    git_tree.commit(tmp_path, {b"a": tricky, b"sub/b": b"only\n"})
    said = git_tree.git(
        tmp_path, "log", "-p", "-U0", "--format=", *PLAIN, "HEAD", "--not", "HEAD~1"
    )
    found = [(one.path, one.number, one.text) for one in added_lines(said.decode())]
    assert found == [
        ("a", 2, "++ b/elsewhere"),
        ("a", 3, "@@ -1 +1,9 @@"),
        ("a", 5, "-- x"),
        ("a", 6, "end"),
        ("sub/b", 1, "only"),
    ]
