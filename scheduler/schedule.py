"""When something is due: a rule in a zone between two dates, and what is done when it was late.

Pure: nothing here looks at a clock. A schedule is due at moments that its rule alone decides; the
jitter moves only when they are acted on, by the same seconds whoever computes it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from scheduler.counting import passed
from scheduler.local import zone_of
from scheduler.rules import Once, Rule

Misfire = Literal["late", "skip"]
"""What becomes of what was due while nothing ran: once, late, for all of it; or nothing."""
GRACE_SECONDS = 60.0
"""What is no later than that was not missed."""
JITTER_SECONDS_MAX = 3600


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When something is due."""

    rule: Rule
    zone: str
    """IANA name of the zone whose clocks it reads."""
    starts_at: datetime | None = None
    """Not due before that."""
    ends_at: datetime | None = None
    """Nor after that."""
    jitter_seconds: int = 0
    misfire: Misfire = "late"
    grace_seconds: float = GRACE_SECONDS

    def __post_init__(self) -> None:
        """:raises ValueError: there is no such zone, or the jitter is none"""
        zone_of(self.zone)
        if not 0 <= self.jitter_seconds <= JITTER_SECONDS_MAX:
            raise ValueError(f"jitter of {self.jitter_seconds} s, at most {JITTER_SECONDS_MAX} s")

    def next_after(self, last: datetime) -> datetime | None:
        """The first moment later than `last` at which it is due; None: it never is again."""
        if self.starts_at is not None and last < self.starts_at:
            last = self.starts_at - timedelta(microseconds=1)
        found = self.rule.after(last, zone_of(self.zone))
        if found is None or (self.ends_at is not None and found > self.ends_at):
            return None
        return found

    def next_times(self, last: datetime, count: int) -> tuple[datetime, ...]:
        """The first `count` moments later than `last`, or as many as there are."""
        found: list[datetime] = []
        while len(found) < count and (one := self.next_after(found[-1] if found else last)):
            found.append(one)
        return tuple(found)

    @property
    def repeats(self) -> bool:
        """Whether it can be due more than once."""
        return not isinstance(self.rule, Once)


def acted_on_at(schedule: Schedule, key: UUID, due: datetime) -> datetime:
    """When what is due is acted on: later by the jitter, which differs from one to the next.

    :param key: the id of the schedule
    """
    if not schedule.jitter_seconds:
        return due
    digest = hashlib.sha256(f"{key}/{due.timestamp():.0f}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return due + timedelta(seconds=share * schedule.jitter_seconds)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What becomes of a schedule whose time has come."""

    latest: datetime
    """The last due moment that has passed."""
    fires: bool
    """Whether that is acted on now; else nothing is done for it either."""
    missed: int
    """Of how many due moments that is true: nothing is done for them."""
    next: datetime | None
    """When it is due next; None: never again."""


def decide(schedule: Schedule, due: datetime, now: datetime) -> Decision:
    """What to do at `now` about a schedule that was due at `due` and perhaps since.

    :param due: the first moment for which nothing was decided yet, not after `now`
    """
    jitter = timedelta(seconds=schedule.jitter_seconds)
    # By the jitter: what is not to be acted on yet is left to its own time.
    until = max(due, now - jitter)
    ended = min(until, schedule.ends_at) if schedule.ends_at else until
    since = passed(schedule.rule, due, ended, zone_of(schedule.zone))
    latest = since.latest or due
    late = now - latest - jitter
    fires = schedule.misfire == "late" or late <= timedelta(seconds=schedule.grace_seconds)
    return Decision(
        latest=latest,
        fires=fires,
        missed=since.count + int(not fires),
        next=schedule.next_after(until),
    )
