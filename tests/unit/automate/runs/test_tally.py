"""How far a run is, by table and by property."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.automate.runs.tally import Counts, Seen, status_of, tally
from bot.store.states import TargetState

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OVER = (TargetState.DONE, TargetState.FAILED, TargetState.SKIPPED, TargetState.STOPPED)


def target(state: str, *, took: float | None = None, since: float | None = None) -> Seen:
    """One that took so many seconds, or has run for so many."""
    begun = since if since is not None else took
    started = None if begun is None else NOW - timedelta(seconds=begun)
    ended = None if took is None else NOW
    return Seen(state=TargetState(state), started_at=started, ended_at=ended)


@pytest.mark.parametrize(
    ("counts", "is_stopped", "status"),
    [
        ({}, False, "succeeded"),
        ({"waiting": 3}, False, "waiting"),
        ({"waiting": 2, "running": 1}, False, "running"),
        ({"waiting": 2, "done": 1}, False, "running"),
        ({"waiting": 2, "failed": 1}, False, "running"),
        ({"running": 1}, True, "stopping"),
        ({"waiting": 1}, True, "stopping"),
        ({"done": 2}, False, "succeeded"),
        ({"done": 2, "skipped": 5}, False, "succeeded"),
        ({"done": 2, "failed": 1}, False, "partly"),
        ({"done": 2, "stopped": 1}, False, "partly"),
        ({"failed": 2}, False, "failed"),
        ({"failed": 2, "skipped": 1}, False, "failed"),
        ({"failed": 2, "stopped": 1}, False, "failed"),
        ({"skipped": 4}, False, "failed"),
        ({"stopped": 1}, False, "stopped"),
        ({"done": 3, "failed": 2, "stopped": 1}, True, "stopped"),
        # The stop came when all was over: nothing was stopped by it.
        ({"done": 3}, True, "succeeded"),
    ],
)
def test_what_is_said_of_a_run_as_a_whole(counts, is_stopped, status):
    assert status_of(Counts(**counts), is_stopped=is_stopped) == status


@pytest.mark.parametrize(
    ("targets", "parallel", "seconds"),
    [
        ([target("waiting"), target("waiting")], 2, None),
        ([target("running", since=5)], 1, None),
        ([target("done", took=60)], 1, None),
        ([target("skipped"), target("waiting")], 1, None),
        ([target("done", took=60), target("waiting")], 1, 60),
        ([target("done", took=60), *[target("waiting")] * 4], 2, 120),
        ([target("done", took=60), *[target("waiting")] * 5], 2, 180),
        ([target("done", took=30), target("failed", took=90), target("waiting")], 1, 60),
        ([target("done", took=60), target("running", since=40)], 1, 20),
        ([target("done", took=60), target("running", since=40), target("waiting")], 1, 80),
        ([target("done", took=60), target("running", since=40), target("waiting")], 2, 60),
        # One that runs for longer than any did before ends any moment, as far as is known.
        ([target("done", took=60), target("running", since=300), target("waiting")], 1, 60),
        # It has outlived the quick ones: it goes on as the slow one did.
        ([target("done", took=10), target("done", took=100), target("running", since=40)], 1, 60),
    ],
)
def test_when_it_is_over_is_guessed_from_how_long_others_took(targets, parallel, seconds):
    assert tally(targets, now=NOW, parallel=parallel).eta_seconds == seconds


def test_what_waits_in_a_stopped_run_takes_no_time():
    targets = [target("done", took=60), target("running", since=40), target("waiting")]
    found = tally(targets, now=NOW, parallel=1, is_stopped=True)
    assert (found.status, found.eta_seconds) == ("stopping", 20)


seen = st.builds(
    lambda state, took, cost: Seen(
        state=state,
        started_at=None if took is None else NOW - timedelta(seconds=took),
        ended_at=NOW if took is not None and state in OVER else None,
        cost_micro=cost,
    ),
    st.sampled_from(TargetState),
    st.none() | st.floats(0, 1e5),
    st.integers(0, 10**9),
)


@given(st.lists(seen, max_size=60), st.integers(1, 30), st.booleans())
def test_nothing_is_lost_in_counting(targets, parallel, is_stopped):
    found = tally(targets, now=NOW, parallel=parallel, is_stopped=is_stopped)
    assert found.total == len(targets)
    assert found.cost_micro == sum(one.cost_micro for one in targets)
    assert found.over + found.running + found.waiting == found.total
    ends = {"succeeded", "partly", "failed", "stopped"}
    assert (found.status in ends) == found.is_over
    assert found.eta_seconds is None or found.eta_seconds >= 0
    assert found.eta_seconds is None or not found.is_over


@given(st.lists(seen, max_size=30), st.integers(1, 20), st.integers(1, 20))
def test_more_to_do_takes_no_less_and_more_at_once_takes_no_longer(targets, parallel, more):
    found = tally(targets, now=NOW, parallel=parallel).eta_seconds
    waiting = [*targets, *[target("waiting")] * more]
    longer = tally(waiting, now=NOW, parallel=parallel).eta_seconds
    wider = tally(waiting, now=NOW, parallel=parallel + more).eta_seconds
    assert found is None or (longer is not None and longer >= found)
    assert longer is None or (wider is not None and wider <= longer + 1e-6)


@given(st.lists(seen, max_size=30))
def test_the_order_of_the_targets_does_not_matter(targets):
    one, other = (tally(some, now=NOW, parallel=4) for some in (targets, targets[::-1]))
    assert (one.status, one.cost_micro, one.total) == (other.status, other.cost_micro, other.total)
    assert one.eta_seconds == pytest.approx(other.eta_seconds)
