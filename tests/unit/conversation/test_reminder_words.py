"""What is said about reminders."""

from types import SimpleNamespace

import pytest

from bot.conversation.reminder_words import footer, line


@pytest.mark.parametrize(
    ("missed", "said"),
    [
        (0, "stops it."),
        (1, "It comes late: 1 before it was missed."),
        (2, "It comes late: 2 before it were missed."),
    ],
)
def test_what_was_missed_is_counted(missed, said):
    row = SimpleNamespace(
        by_agent=False,
        creator="Ann",
        what="tea",
        said="every day at 9",
        zone="UTC",
        short="r-7f3k",
        missed=missed,
    )
    assert footer(row).endswith(said)


def test_one_without_a_next_time_is_listed_without_a_gap():
    row = {
        "short": "r-7f3k",
        "state": "paused",
        "why": "unconfirmed",
        "due_at": None,
        "said": "tomorrow 9",
        "only_changed": False,
        "what": "tea",
    }
    assert line(row) == "r-7f3k  waits for a yes  tomorrow 9  tea"
