"""What the bed reads of the tests that run in it."""

import pytest

from tests.nested.bed import passed_in


@pytest.mark.parametrize(
    ("line", "test"),
    [
        ("tests/a/test_b.py::test_c PASSED        [  1%]", "tests/a/test_b.py::test_c"),
        ("tests/a/test_b.py::test_c[x y] PASSED [100%]", "tests/a/test_b.py::test_c[x y]"),
        ("tests/a/test_b.py::test_c FAILED        [  1%]", None),
        ("tests/a/test_b.py::test_c SKIPPED (why) [  1%]", None),
        ("it says tests/a/test_b.py::test_c PASSED [ 1%]", None),
        ("tests/a/test_b.py::test_c ", None),
        ("", None),
    ],
)
def test_only_a_test_that_passed_is_not_run_again(line, test):
    assert passed_in(line) == test
