"""What becomes of events that wait for a run of one automation; pure.

    nobody may run it ─▶ dropped           caused by its own runs ─▶ dropped, as a loop
    halted ─▶ waits                        about the same ─▶ one of them stands for all
    a run about the same goes on ─▶ dropped, waits in line, or takes its place
    too many runs within the hour ─▶ dropped
    else ─▶ a run

Every event that is due gets a decision, or another one does that is in its way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

LOOP_DEPTH_MAX = 5
"""Runs of which each is caused by the one before."""
ATTEMPTS_MAX = 8
"""To begin the run of one event."""
QUEUED_MAX = 50
"""That wait in line behind a run; later ones are dropped."""
RUNS_AT_ONCE = 5
"""Begun by one look at an automation."""
HALTED_SECONDS = 30
QUEUED_SECONDS = 60
"""The end of a run lets those in line go on sooner."""
BEGINNING_SECONDS = 2

Overlap = Literal["skip", "queue", "cancel"]
Do = Literal["run", "drop", "wait"]
AT_TIMES = frozenset({"cron", "at"})
"""Kinds of triggers whose events are all about the same: that it is time."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """An event that waits."""

    id: UUID
    trigger_id: UUID
    kind: str
    """Of its trigger."""
    about: str
    at: datetime
    """When it came."""
    act_at: datetime
    held: bool = False
    """Somebody begins its run at this moment."""
    attempts: int = 0
    causes: frozenset[UUID | None] = frozenset()
    """The automations whose runs led to it; None: one that is gone."""
    depth: int = 0
    """Of the longest chain of runs that led to it."""

    @property
    def group(self) -> tuple[str, str]:
        """What it shares with those that one run does for."""
        if self.about:
            return "about", self.about
        if self.kind in AT_TIMES:
            return "trigger", str(self.trigger_id)
        return "event", str(self.id)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How an automation stands."""

    automation_id: UUID
    active: bool
    halted: bool = False
    overlap: Overlap = "skip"
    runs_per_hour: int = 20
    runs_lately: int = 0
    """That events began within the last hour, and those that are being begun."""
    busy: frozenset[str] = frozenset()
    """What its runs that go on are about; empty text: they are about nothing special."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is done with an event."""

    id: UUID
    do: Do
    why: str = ""
    into: UUID | None = None
    """Of those that are coalesced: the event that stands for them."""
    latest: UUID | None = None
    """Of `run`: the event whose facts count, because it is the newest about the same."""
    until: datetime | None = None
    """Of `wait`."""


@dataclass
class _Deciding:
    """One look at an automation."""

    standing: Standing
    now: datetime
    begun: int = 0
    queued: int = 0
    held: frozenset[str] = frozenset()
    """What runs are about that are being begun."""
    busy: set[str] = field(default_factory=set)
    """What runs are about that go on, are being begun, or are decided here."""

    def wait(self, group: Sequence[Waiting], why: str, seconds: float) -> list[Decision]:
        until = self.now + timedelta(seconds=seconds)
        return [
            Decision(id=one.id, do="wait", why=why, until=until)
            for one in group
            if one.act_at <= self.now
        ]


def decide(events: Iterable[Waiting], standing: Standing, now: datetime) -> list[Decision]:
    """Decide about every event of the automation that waits, whether it is due or not."""
    inorder = sorted(events, key=lambda one: (one.at, one.id))
    if not standing.active:
        return _drop([one for one in inorder if not one.held], "paused")
    looping = [one for one in inorder if not one.held and is_loop(one, standing.automation_id)]
    made = _drop(looping, "loop")
    dropped = {one.id for one in looping}
    left = [one for one in inorder if one.id not in dropped]
    held = frozenset(one.about for one in left if one.held)
    state = _Deciding(standing=standing, now=now, held=held, busy={*standing.busy, *held})
    if standing.halted:
        return made + state.wait([one for one in left if not one.held], "halted", HALTED_SECONDS)
    groups = _grouped(left)
    newest = {group[0].about: group for group in groups if _is_due(group, now)}
    for group in groups:
        takes_place = newest.get(group[0].about) is group
        made += _of_group(state, group, is_last=takes_place)
    return made


def is_loop(event: Waiting, automation_id: UUID) -> bool:
    """Whether the automation's own runs led to it, or too many runs did."""
    return automation_id in event.causes or event.depth > LOOP_DEPTH_MAX


def _grouped(events: Sequence[Waiting]) -> list[list[Waiting]]:
    groups: dict[tuple[str, str], list[Waiting]] = {}
    for one in events:
        groups.setdefault(one.group, []).append(one)
    return list(groups.values())


def _is_due(group: Sequence[Waiting], now: datetime) -> bool:
    return any(one.act_at <= now for one in group if not one.held)


def _of_group(state: _Deciding, group: Sequence[Waiting], *, is_last: bool) -> list[Decision]:
    """Decide about events that are about the same."""
    if not _is_due(group, state.now):
        return []
    first = group[0]
    made = _not_now(state, group)
    if made is None:
        made = _overlapped(state, group, is_last=is_last)
    if made is not None:
        return made
    if state.standing.runs_lately + state.begun >= state.standing.runs_per_hour:
        return _drop(group, "rate")
    if state.begun >= RUNS_AT_ONCE:
        return []
    state.begun += 1
    state.busy.add(first.about)
    run = Decision(id=first.id, do="run", latest=group[-1].id)
    rest = [Decision(id=one.id, do="drop", why="coalesced", into=first.id) for one in group[1:]]
    return [run, *rest]


def _not_now(state: _Deciding, group: Sequence[Waiting]) -> list[Decision] | None:
    """What else than a run comes of a group before any rule of the automation; None: nothing."""
    first = group[0]
    if any(one.held for one in group):
        return state.wait([one for one in group if not one.held], "", BEGINNING_SECONDS)
    if first.attempts >= ATTEMPTS_MAX:
        return _drop([first], "failed")
    if first.attempts and first.act_at > state.now:
        # What comes after it does not make it be tried sooner.
        return state.wait(group, "", (first.act_at - state.now).total_seconds())
    return None


def _overlapped(
    state: _Deciding, group: Sequence[Waiting], *, is_last: bool
) -> list[Decision] | None:
    """What the overlap rule says; None: nothing is in the way."""
    about, rule = group[0].about, state.standing.overlap
    if rule == "cancel":
        if not is_last:
            return _drop(group, "overlap")
        # The run that is being begun has to be there before another can take its place.
        is_begun = about in state.held
        return state.wait(group, "", BEGINNING_SECONDS) if is_begun else None
    if about not in state.busy:
        return None
    if rule == "queue" and state.queued < QUEUED_MAX:
        state.queued += 1
        return state.wait(group, "queued", QUEUED_SECONDS)
    return _drop(group, "overlap")


def _drop(events: Iterable[Waiting], why: str) -> list[Decision]:
    return [Decision(id=one.id, do="drop", why=why) for one in events]
