"""Which lines of a log people see, by table."""

import pytest

from bot.words.failing import CHARACTERS_MAX, LEFT_OUT, LINES_MAX, failing_lines

NOISE = [f"compiling {n}" for n in range(40)]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (["a", "b"], ["a", "b"]),
        ([*NOISE, "before", "E   assert 1 == 2", "after", *NOISE],
         ["before", "E   assert 1 == 2", "after"]),
        (["x", "ValueError: no", "y", *NOISE, "z", "FAILED tests/a.py::b", "w"],
         ["x", "ValueError: no", "y", LEFT_OUT, "z", "FAILED tests/a.py::b", "w"]),
        (["2026-11-30T01:02:03.456Z ##[error]exit code 1"], ["##[error]exit code 1"]),
        (["\x1b[31mFAIL\x1b[0m a.test.js"], ["FAIL a.test.js"]),
        (["errors: terrorise nobody"], ["errors: terrorise nobody"]),
        (NOISE, NOISE[-LINES_MAX:]),
        ([], []),
    ],
)  # fmt: skip
def test_the_last_lines_that_tell_of_a_failure_are_shown_else_the_end(said, shown):
    assert failing_lines("\n".join(said)) == "\n".join(shown)


def test_no_more_is_shown_than_anybody_reads_and_the_end_stays():
    shown = failing_lines("\n".join(f"error {n} {'x' * 200}" for n in range(100)))
    assert len(shown) <= CHARACTERS_MAX
    assert shown.split("\n")[-1].startswith("error 99 ")
    many = failing_lines("\n".join(f"error {n}" for n in range(100)))
    assert len(many.split("\n")) <= LINES_MAX
    assert failing_lines("error " + "x" * 10_000).endswith("x" + LEFT_OUT)


def test_a_line_with_a_secret_is_left_out():
    shown = failing_lines("a\nerror: key\nb", is_secret=lambda line: "key" in line)
    assert shown == f"a\n{LEFT_OUT}\nb"
