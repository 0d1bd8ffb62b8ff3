"""How far a run is: counted from its targets whenever somebody asks, and never stored; pure.

waiting ─▶ running ─▶ succeeded   every target that was begun is done
   │          ├─────▶ partly      some are done, others are not
   │          ├─────▶ failed      none is done
   └──────────┴─stop─▶ stopping ─▶ stopped
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.store.states import TargetState

Status = Literal["waiting", "running", "stopping", "succeeded", "partly", "failed", "stopped"]

TIMED = frozenset({TargetState.DONE, TargetState.FAILED})
"""States of targets that took as long as targets take."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Targets by state."""

    done: int = 0
    running: int = 0
    failed: int = 0
    waiting: int = 0
    skipped: int = 0
    stopped: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.over + self.running + self.waiting

    @property
    def over(self) -> int:
        """Those for which nothing more is done."""
        return self.done + self.failed + self.skipped + self.stopped


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What of a target counts here."""

    state: TargetState
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cost_micro: int = 0

    @property
    def seconds(self) -> float | None:
        """How long it took; None: it is not over, or was never begun."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.started_at).total_seconds())


@dataclass(frozen=True, kw_only=True)
class Tally(Counts):
    """How far a run is."""

    cost_micro: int
    """What models cost, in micro-dollars."""
    eta_seconds: float | None
    """In about so many it is over; None: nothing is known of that, or it is over."""
    status: Status

    @property
    def is_over(self) -> bool:
        """Nothing waits or runs."""
        return self.running + self.waiting == 0


def tally(
    targets: Sequence[Seen], *, now: datetime, parallel: int, is_stopped: bool = False
) -> Tally:
    """Count a run's targets.

    :param parallel: so many run at once
    :param is_stopped: somebody, or a limit, ended the run
    """
    counts = counted(Counter(one.state for one in targets))
    return Tally(
        **vars(counts),
        cost_micro=sum(one.cost_micro for one in targets),
        eta_seconds=_eta_seconds(targets, now=now, parallel=parallel, is_stopped=is_stopped),
        status=status_of(counts, is_stopped=is_stopped),
    )


def counted(by_state: Mapping[TargetState, int]) -> Counts:
    """The counts of a run, from how many targets are in each state."""
    return Counts(**{state.value: by_state.get(state, 0) for state in TargetState})


def status_of(counts: Counts, *, is_stopped: bool) -> Status:
    """What is said of a run as a whole.

    What was skipped by a rule takes nothing away from what is done; where nothing else is there,
    the run came to nothing, and that is a failure.
    """
    if counts.running or counts.waiting:
        if is_stopped:
            return "stopping"
        return "running" if counts.running or counts.over else "waiting"
    if is_stopped and counts.stopped:
        return "stopped"
    undone = counts.failed + counts.stopped
    if counts.done or not counts.total:
        return "partly" if undone else "succeeded"
    return "stopped" if counts.stopped and not counts.failed else "failed"


def _eta_seconds(
    targets: Sequence[Seen], *, now: datetime, parallel: int, is_stopped: bool
) -> float | None:
    """As if each that is left took as long as those before it, in the order of their places."""
    took = [one.seconds for one in targets if one.state in TIMED and one.seconds is not None]
    running = [one for one in targets if one.state is TargetState.RUNNING]
    waiting = sum(one.state is TargetState.WAITING for one in targets)
    if not took or not (running or waiting):
        return None
    left = [_left_seconds(one, took, now=now) for one in running]
    usual = sum(took) / len(took)
    return _last_end(left, [] if is_stopped else [usual] * waiting, parallel=parallel)


def _left_seconds(running: Seen, took: Sequence[float], *, now: datetime) -> float:
    """How long it goes on: as those did that took longer than it has by now."""
    by_now = 0.0
    if running.started_at is not None:
        by_now = max(0.0, (now - running.started_at).total_seconds())
    longer = [seconds for seconds in took if seconds > by_now]
    return sum(longer) / len(longer) - by_now if longer else 0.0


def _last_end(left: Iterable[float], waiting: Iterable[float], *, parallel: int) -> float:
    """When the last one ends, if each that waits begins as soon as one before it ends."""
    ends = list(left)
    ends += [0.0] * max(0, parallel - len(ends))
    heapq.heapify(ends)
    for seconds in waiting:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends, default=0.0)
