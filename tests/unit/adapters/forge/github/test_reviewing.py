"""What a review says, as one text."""

import pytest

from adapters.forge.asking import REVIEW_LENGTH_MAX
from adapters.forge.github.reviewing import reviewed

LINE = {"path": "a.py", "line": 1, "body": "no"}


@pytest.mark.parametrize(
    ("state", "body", "comments", "said"),
    [
        ("commented", "Hm", [], "Review of the pull request:\n\nHm"),
        ("COMMENTED", "", [LINE], "Review of the pull request:\n\n`a.py`, line 1: no"),
        ("approved", "LGTM", [], ""),
        (
            "approved",
            "",
            [LINE],
            "Review of the pull request, which approves it:\n\n`a.py`, line 1: no",
        ),
        ("commented", " ", [], ""),
        ("commented", "", [{**LINE, "in_reply_to_id": 4}], ""),
        ("dismissed", "Hm", [LINE], ""),
        (
            "changes_requested",
            "",
            [{"path": "a", "line": None, "original_line": 7, "body": "x"}],
            "Review of the pull request, which asks for changes:\n\n`a`, line 7: x",
        ),
    ],
)
def test_what_is_to_be_done_is_said(state, body, comments, said):
    assert reviewed(state, body, comments) == said


def test_it_is_bounded():
    assert len(reviewed("commented", "x" * 100_000, [])) == REVIEW_LENGTH_MAX + 1
