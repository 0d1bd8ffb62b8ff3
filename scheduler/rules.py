"""What a schedule repeats: once, by cron, every so many seconds or days; pure.

- `Cron` has five fields; beside the usual ones `mon#1` (the first Monday of the month), `L5` (its
  last Friday) and `L` (its last day). It reads the clocks of the zone. A fixed hour that the clocks
  skip is due when the gap ends, one that they show twice the first time. With `*` as the hour it
  follows the time that passes: nothing more in the gap, and all of it again in the overlap.
- `Every` counts seconds that pass, whatever the clocks show.
- `Days` keeps the time of day over so many days, from its first one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from croniter.croniter import CroniterBadDateError, CroniterError

from scheduler.local import change_between, local, moment

INTERVAL_SECONDS_MIN = 60
"""More often than that nothing is due."""
INTERVAL_DAYS_MAX = 3660
_DAY = "sun|mon|tue|wed|thu|fri|sat"
_MONTH = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_ONE = rf"(?:\*|\d{{1,4}}|{_DAY}|{_MONTH}|l[0-7]?)"
_PART = rf"{_ONE}(?:-{_ONE})?(?:/\d{{1,2}})?(?:#[1-5])?"
_FIELDS = re.compile(rf"(?:{_PART}(?:,{_PART})*)(?:\s+{_PART}(?:,{_PART})*){{4}}", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![/#l\d])\d+", re.IGNORECASE)
"""Of a field; not how far it steps, nor which one of a month."""
_BOUNDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
)
_SOME_DAY = datetime(2000, 1, 1)
_NEVER_IN_YEARS = 28
"""So long it can be until 29 February is a certain day of the week again."""


class NeverComes(ValueError):
    """These are five fields of cron, and no day is as they say."""


class OutOfBounds(ValueError):
    """These are five fields of cron, and a number in one of them is none that it can have."""

    def __init__(self, field: str, given: int, first: int, last: int) -> None:
        """`field`: which of the five; what it can have is from `first` to `last`."""
        super().__init__(f"the {field} is from {first} to {last}, not {given}")
        self.field = field
        self.given = given


@dataclass(frozen=True, kw_only=True)
class Once:
    """Due at one moment."""

    at: datetime

    def after(self, last: datetime, _zone: ZoneInfo) -> datetime | None:
        """The moment, if it is later than `last`."""
        return self.at if self.at > last else None


@dataclass(frozen=True, kw_only=True)
class Cron:
    """Due whenever the clocks show what five fields say."""

    fields: str

    def __post_init__(self) -> None:
        """:raises ValueError: they are not five fields of cron; OutOfBounds, NeverComes: why"""
        fields = " ".join(self.fields.split())
        object.__setattr__(self, "fields", fields)
        if not _FIELDS.fullmatch(fields):
            raise ValueError(f"{fields!r} is not five fields of cron")
        _check_bounds(fields)
        try:
            self._next(_SOME_DAY)
        except CroniterBadDateError as error:
            raise NeverComes(f"{fields!r} never comes: its months have no such day") from error
        except CroniterError as error:
            raise ValueError(f"{fields!r} is not five fields of cron: {error}") from error

    def after(self, last: datetime, zone: ZoneInfo) -> datetime | None:
        """The first due moment later than `last`; None: there is none within 28 years."""
        try:
            return self._passing(last, zone) if self.follows else self._shown(last, zone)
        except CroniterBadDateError:
            return None

    @property
    def follows(self) -> bool:
        """Whether it follows the time that passes, and not what the clocks show."""
        return self.fields.split()[1].startswith("*")

    def _shown(self, last: datetime, zone: ZoneInfo) -> datetime:
        shown = self._next(local(last, zone))
        while (found := moment(shown, zone)) <= last:
            shown = self._next(shown)
        return found

    def _passing(self, last: datetime, zone: ZoneInfo) -> datetime:
        """Walks from one change of the clocks to the next."""
        while True:
            offset = last.astimezone(zone).utcoffset() or timedelta()
            shown = self._next((last + offset).replace(tzinfo=None))
            found = (shown - offset).replace(tzinfo=UTC)
            if found.astimezone(zone).utcoffset() == offset:
                return found
            # At that moment the clocks show another time already: go on from where they changed.
            change = change_between(last, found, zone).astimezone(zone)
            new = change.utcoffset() or timedelta()
            shown = self._next(change.replace(tzinfo=None) - timedelta(seconds=1))
            found = (shown - new).replace(tzinfo=UTC)
            if found.astimezone(zone).utcoffset() == new:
                return found
            last = change.astimezone(UTC)

    def _next(self, shown: datetime) -> datetime:
        found = [at for half in halves(self.fields) if (at := _following(half, shown))]
        if not found:
            raise CroniterBadDateError(f"{self.fields!r} never comes")
        return min(found)


def _check_bounds(fields: str) -> None:
    for (name, first, last), said in zip(_BOUNDS, fields.split(), strict=True):
        for number in map(int, _NUMBER.findall(said)):
            if not first <= number <= last:
                raise OutOfBounds(name, number, first, last)


def halves(fields: str) -> tuple[str, ...]:
    """Each half of those that mean a day of the month or, say, its fifth Monday.

    croniter looks only for days that are both.
    """
    minute, hour, day, month, weekday = fields.split()
    if day == "*" or not re.search(r"#|\bl", weekday, re.IGNORECASE):
        return (fields,)
    return f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}"


def _following(fields: str, shown: datetime) -> datetime | None:
    """The first time behind `shown` that the clocks show; None: it never comes."""
    times = croniter(fields, shown, max_years_between_matches=_NEVER_IN_YEARS)
    try:
        found: datetime = times.get_next(datetime)
    except CroniterBadDateError:
        return None
    return found


@dataclass(frozen=True, kw_only=True)
class Every:
    """Due every so many seconds from its first moment on."""

    seconds: int
    first: datetime

    def __post_init__(self) -> None:
        """:raises ValueError: it is too often"""
        if self.seconds < INTERVAL_SECONDS_MIN:
            raise ValueError(f"every {self.seconds} s is more often than {INTERVAL_SECONDS_MIN} s")

    def after(self, last: datetime, _zone: ZoneInfo) -> datetime:
        """The first due moment later than `last`."""
        if last < self.first:
            return self.first
        steps = (last - self.first) // timedelta(seconds=self.seconds) + 1
        return self.first + timedelta(seconds=self.seconds) * steps


@dataclass(frozen=True, kw_only=True)
class Days:
    """Due every so many days at the time of day that the clocks showed first."""

    days: int
    first: datetime
    """As the clocks of the zone show it."""

    def __post_init__(self) -> None:
        """:raises ValueError: these are no days"""
        if not 1 <= self.days <= INTERVAL_DAYS_MAX:
            raise ValueError(f"every {self.days} days is not from 1 to {INTERVAL_DAYS_MAX}")

    def after(self, last: datetime, zone: ZoneInfo) -> datetime:
        """The first due moment later than `last`."""
        passed = (local(last, zone) - self.first) // timedelta(days=self.days)
        # What the clocks show can be off by an hour where they change: look from a step before.
        wall = self.first + timedelta(days=self.days) * max(0, passed - 1)
        while (found := moment(wall, zone)) <= last:
            wall += timedelta(days=self.days)
        return found


Rule = Once | Cron | Every | Days


def kept(rule: Rule) -> dict[str, Any]:
    """The rule as JSON keeps it."""
    match rule:
        case Once():
            return {"kind": "once", "at": rule.at.isoformat()}
        case Cron():
            return {"kind": "cron", "fields": rule.fields}
        case Every():
            return {"kind": "every", "seconds": rule.seconds, "first": rule.first.isoformat()}
        case Days():
            return {"kind": "days", "days": rule.days, "first": rule.first.isoformat()}


def restored(row: Mapping[str, Any]) -> Rule:
    """The rule that `kept` wrote. :raises ValueError: it did not"""
    try:
        match row["kind"]:
            case "once":
                return Once(at=datetime.fromisoformat(row["at"]))
            case "cron":
                return Cron(fields=row["fields"])
            case "every":
                first = datetime.fromisoformat(row["first"])
                return Every(seconds=row["seconds"], first=first)
            case "days":
                return Days(days=row["days"], first=datetime.fromisoformat(row["first"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{row!r} is no rule of a schedule") from error
    raise ValueError(f"{row!r} is no rule of a schedule")
