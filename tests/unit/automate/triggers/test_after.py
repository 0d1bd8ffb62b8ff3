"""What a run's end means for its automation, by table."""

import pytest

from bot.automate.runs.tally import Counts
from bot.automate.triggers.after import is_failure, outcome


@pytest.mark.parametrize(
    ("counts", "stop_why", "fails"),
    [
        (Counts(done=2), "", False),
        (Counts(failed=2), "", True),
        (Counts(failed=1, skipped=1), "", True),
        (Counts(skipped=2), "", True),
        # It came to something; what went wrong is said in its report.
        (Counts(done=1, failed=9), "", False),
        (Counts(done=1, skipped=1), "", False),
        # The next one ends at the same limit.
        (Counts(stopped=2), "time", True),
        (Counts(stopped=2), "money", True),
        (Counts(failed=1, stopped=1), "money", True),
        (Counts(done=1, stopped=1), "money", None),
        # Somebody ended it: it may well have come to a good end.
        (Counts(stopped=2), "", None),
        (Counts(stopped=2), "person", None),
        (Counts(failed=1, stopped=1), "person", None),
        (Counts(stopped=2), "cancelled", None),
    ],
)
def test_a_run_of_which_nothing_came_is_a_failure_unless_somebody_ended_it(
    counts, stop_why, fails
) -> None:
    assert is_failure(stop_why, counts) is fails


@pytest.mark.parametrize(
    ("counts", "stop_why", "expected"),
    [
        (Counts(done=2), "", "succeeded"),
        (Counts(done=1, skipped=1), "", "succeeded"),
        (Counts(skipped=2), "", "failed"),
        (Counts(done=1, failed=1), "", "failed"),
        (Counts(done=1, stopped=1), "", "stopped"),
        (Counts(done=2), "time", "stopped"),
    ],
)
def test_how_it_ended_for_those_that_wait_for_its_end(counts, stop_why, expected) -> None:
    assert outcome(stop_why, counts) == expected
