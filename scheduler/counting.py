"""How often a rule was due in a time that has passed; pure.

Cron is not walked from one moment to the next: after days of silence hundreds of schedules would
keep everything else waiting. Its days are all alike, save those on which clocks change.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from croniter import croniter

from scheduler.local import existence, local, moment
from scheduler.rules import Cron, Days, Every, Once, Rule

DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Passed:
    """What a rule was due at."""

    count: int
    latest: datetime | None
    """The last of these moments; None: there was none."""


def passed(rule: Rule, last: datetime, until: datetime, zone: ZoneInfo) -> Passed:
    """The moments later than `last`, and not later than `until`, at which it was due."""
    match rule:
        case Cron():
            return _by_days(rule, last, until, zone)
        case Every():
            return _by_seconds(rule, last, until, zone)
        case Once() | Days():
            return _one_by_one(rule, last, until, zone)


def _one_by_one(rule: Once | Days, last: datetime, until: datetime, zone: ZoneInfo) -> Passed:
    count, latest = 0, None
    while (found := rule.after(latest or last, zone)) is not None and found <= until:
        count, latest = count + 1, found
    return Passed(count=count, latest=latest)


def _by_seconds(rule: Every, last: datetime, until: datetime, zone: ZoneInfo) -> Passed:
    first = rule.after(last, zone)
    if first > until:
        return Passed(count=0, latest=None)
    step = timedelta(seconds=rule.seconds)
    more = (until - first) // step
    return Passed(count=more + 1, latest=first + more * step)


def _by_days(rule: Cron, last: datetime, until: datetime, zone: ZoneInfo) -> Passed:
    count, latest = 0, None
    fields = _read(rule.fields)
    times = fields.times
    after, to = local(last, zone), local(until, zone)
    for number in range((to.date() - after.date()).days + 1):
        day = after.date() + number * DAY
        if not fields.has(day):
            continue
        if _clocks_change(day, zone):
            found = [one for one in _moments(rule, times, day, zone) if last < one <= until]
            count += len(found)
            latest = found[-1] if found else latest
            continue
        begin = bisect_right(times, after.time()) if day == after.date() else 0
        end = bisect_right(times, to.time()) if day == to.date() else len(times)
        if begin < end:
            count += end - begin
            latest = moment(datetime.combine(day, times[end - 1]), zone)
    return Passed(count=count, latest=latest)


@dataclass(frozen=True, kw_only=True)
class _Fields:
    """What the five fields may be; `*` stands for itself, `l` for the last one."""

    days: frozenset[int | str]
    months: frozenset[int | str]
    weekdays: frozenset[int | str]
    which: dict[int, set[int | str]]
    """Of a weekday, which ones of the month; empty: all of them."""
    times: tuple[time, ...]
    """Of each day on which it is due."""

    def has(self, day: date) -> bool:
        """Whether it is due on that day."""
        if "*" not in self.months and day.month not in self.months:
            return False
        days = ("*" not in self.days, self._by_day(day))
        weekdays = ("*" not in self.weekdays, self._by_weekday(day))
        # Where both are said, either is enough.
        said = [fits for is_said, fits in (days, weekdays) if is_said]
        return any(said) or not said

    def _by_day(self, day: date) -> bool:
        return day.day in self.days or ("l" in self.days and (day + DAY).day == 1)

    def _by_weekday(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if not self.which:
            return weekday in self.weekdays
        numbers = self.which.get(weekday, set())
        is_last = (day + 7 * DAY).month != day.month
        return (day.day - 1) // 7 + 1 in numbers or ("l" in numbers and is_last)


@lru_cache(maxsize=1024)
def _read(fields: str) -> _Fields:
    (minutes, hours, days, months, weekdays), which = croniter.expand(fields)
    times = tuple(
        time(hour, minute)
        for hour in sorted(range(24) if "*" in hours else hours)
        for minute in sorted(range(60) if "*" in minutes else minutes)
    )
    dates = {"days": days, "months": months, "weekdays": weekdays}
    sets = {name: frozenset(values) for name, values in dates.items()}
    return _Fields(which=which, times=times, **sets)


def _clocks_change(day: date, zone: ZoneInfo) -> bool:
    """Whether they do between the beginning and the end of a day."""
    begin, end = (moment(datetime.combine(one, time()), zone) for one in (day, day + DAY))
    before = timedelta(microseconds=1)
    return local(begin - before, zone) - begin.replace(tzinfo=None) != (
        local(end - before, zone) - end.replace(tzinfo=None)
    )


def _moments(rule: Cron, times: tuple[time, ...], day: date, zone: ZoneInfo) -> list[datetime]:
    """When it is due on a day on which clocks change."""
    found: set[datetime] = set()
    for one in times:
        wall = datetime.combine(day, one)
        how_often = existence(wall, zone)
        if not rule.follows or how_often == "once":
            found.add(moment(wall, zone))
        elif how_often == "twice":
            found |= {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(found)
