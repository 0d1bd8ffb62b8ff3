"""What the slots of a time mean: a rule, or what has to be asked back; pure."""

import calendar
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from scheduler.cursor import NotRead
from scheduler.days import AHEAD_YEARS_MAX, DAYS_OF, dated, later, slashed
from scheduler.local import existence, local, moment
from scheduler.rules import INTERVAL_DAYS_MAX, INTERVAL_SECONDS_MIN, Cron, Days, Every, Once, Rule
from scheduler.slots import Spoken
from scheduler.time_of_day import Unclear, times_of

__all__ = ["Unclear", "day_of", "of", "repeats"]

CRON_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
MONTH_DAY_SURE = 28
"""Every month has so many days."""


def of(spoken: Spoken, now: datetime, zone: ZoneInfo) -> tuple[Rule, bool]:
    """The rule, and whether its time of day is assumed.

    :raises NotRead: the slots don't go together
    :raises Unclear: they could mean several times, or none
    """
    if spoken.after is not None:
        return _after(spoken, now, zone)
    if repeats(spoken):
        if spoken.unit in _SECONDS:
            return _often(spoken, now), False
        return _repeated(spoken, local(now, zone))
    wall = local(now, zone)
    day = day_of(spoken, wall)
    times, is_assumed = times_of(spoken, may_assume=day is not None)
    if len(times) > 1:
        raise Unclear("one_time")
    if day is None:
        day = wall.date() + timedelta(days=int(times[0] <= wall.time()))
    elif _is_today_by_weekday(spoken, day, wall):
        day = _weekday_of_today(day, times[0], wall, is_this=spoken.week == "this")
    return Once(at=_at(datetime.combine(day, times[0]), zone)), is_assumed


def repeats(spoken: Spoken) -> bool:
    """Whether it is said to be due more than once."""
    return spoken.every is not None or spoken.of_month


# Once.


def _at(wall: datetime, zone: ZoneInfo) -> datetime:
    how_often = existence(wall, zone)
    if how_often != "once":
        raise Unclear("gap" if how_often == "never" else "twice", time=f"{wall:%H:%M}")
    return moment(wall, zone)


def _after(spoken: Spoken, now: datetime, zone: ZoneInfo) -> tuple[Rule, bool]:
    """ "in 20 minutes" counts time that passes, "in 3 days" days of the calendar."""
    if repeats(spoken) or day_of(spoken, local(now, zone)) is not None or spoken.after is None:
        raise NotRead("in")
    number, unit = spoken.after
    if unit in _SECONDS and (spoken.times or spoken.part):
        raise NotRead("at")
    if unit in _SECONDS:
        try:
            at = now + timedelta(seconds=round(number * _SECONDS[unit]))
        except OverflowError as error:
            raise Unclear("far") from error
        return Once(at=_within(at, now)), False
    wall = local(now, zone)
    day = later(wall.date(), number, unit)
    times, _assumed = times_of(spoken, may_assume=True)
    at_time = times[0] if spoken.times or spoken.part else wall.time()
    return Once(at=_within(_at(datetime.combine(day, at_time), zone), now)), False


def _within(at: datetime, now: datetime) -> datetime:
    if at > now + timedelta(days=366 * AHEAD_YEARS_MAX):
        raise Unclear("far")
    return at


# Which day.


def day_of(spoken: Spoken, wall: datetime) -> date | None:
    """The day that is said; None: none is. :raises Unclear: it could be several"""
    said = [
        spoken.day is not None,
        bool(spoken.date and spoken.date[1]) or bool(spoken.slashed),
        bool(spoken.nth) or spoken.month is not None,
        bool(spoken.weekdays) or bool(spoken.next_unit),
    ]
    if sum(said) > 1 and not (said[3] and sum(said) == 2 and not spoken.week):
        raise NotRead("day")
    day = _date_of(spoken, wall)
    if spoken.of_weekday:
        raise NotRead("day")
    if day is None and spoken.weekdays:
        return _weekday(spoken, wall)
    if day is None and spoken.next_unit:
        raise Unclear("which_day")
    if day is not None and spoken.weekdays and [day.weekday()] != spoken.weekdays:
        raise Unclear("contradiction")
    return day


def _date_of(spoken: Spoken, wall: datetime) -> date | None:
    if spoken.day is not None:
        return wall.date() + timedelta(days=spoken.day)
    if spoken.slashed is not None:
        return slashed(spoken.slashed, wall)
    if spoken.month is not None and len(spoken.nth) == 1:
        year = spoken.date[0] if spoken.date else None
        return dated(year, spoken.month, spoken.nth[0], wall)
    if spoken.date is not None and spoken.date[1]:
        return dated(*spoken.date, wall)
    if spoken.nth or spoken.month is not None:
        raise Unclear("which_day")
    return None


def _weekday(spoken: Spoken, wall: datetime) -> date:
    if len(spoken.weekdays) != 1:
        raise Unclear("several_days")
    ahead = (spoken.weekdays[0] - wall.weekday()) % 7
    day = wall.date() + timedelta(days=ahead)
    if spoken.next_unit:
        return _in_week(spoken, wall)
    if spoken.week == "next":
        # Some mean the one that comes, others the one in the week after.
        later = day + timedelta(days=7)
        raise Unclear("which_week", first=day.isoformat(), second=later.isoformat())
    return day


def _in_week(spoken: Spoken, wall: datetime) -> date:
    if spoken.next_unit not in {"next week", "this week"}:
        raise Unclear("which_day")
    monday = wall.date() - timedelta(days=wall.weekday())
    weeks = 1 if spoken.next_unit == "next week" else 0
    return monday + timedelta(days=7 * weeks + spoken.weekdays[0])


def _is_today_by_weekday(spoken: Spoken, day: date, wall: datetime) -> bool:
    by_name = bool(spoken.weekdays) and spoken.day is None and not spoken.next_unit
    return by_name and not (spoken.date or spoken.slashed or spoken.nth) and day == wall.date()


def _weekday_of_today(day: date, at: time, wall: datetime, *, is_this: bool) -> date:
    """Today has that name: today is meant, or the day a week from now?"""
    later = day + timedelta(days=7)
    if is_this or at > wall.time():
        raise Unclear("which_week", first=day.isoformat(), second=later.isoformat())
    return later


# Again and again.


def _often(spoken: Spoken, now: datetime) -> Rule:
    if spoken.times or spoken.part or spoken.weekdays or spoken.nth:
        raise NotRead("at")
    seconds = _number(spoken) * _SECONDS[spoken.unit]
    if seconds < INTERVAL_SECONDS_MIN:
        raise Unclear("too_often")
    if seconds > 366 * 86400:
        raise Unclear("far")
    first = now.replace(second=0, microsecond=0) + timedelta(seconds=seconds)
    return Every(seconds=seconds, first=first)


def _number(spoken: Spoken) -> int:
    """Which of them: each, or every so many."""
    if spoken.every == 0:
        raise Unclear("too_often")
    return 2 if spoken.other else spoken.every or 1


def _repeated(spoken: Spoken, wall: datetime) -> tuple[Rule, bool]:
    if spoken.day is not None or spoken.week or spoken.next_unit:
        raise NotRead("day")
    times, is_assumed = times_of(spoken, may_assume=True)
    number = _number(spoken)
    if (spoken.unit in DAYS_OF or spoken.other) and number > 1 and not spoken.nth:
        return _days(spoken, number, times, wall), is_assumed
    minutes = {at.minute for at in times}
    if len(minutes) > 1:
        raise Unclear("minutes")
    hours = ",".join(str(at.hour) for at in sorted(times))
    days = _cron_days(spoken, number)
    return Cron(fields=f"{minutes.pop()} {hours} {days}"), is_assumed


def _days(spoken: Spoken, number: int, times: list[time], wall: datetime) -> Rule:
    """Every other day, every two weeks on a Friday."""
    if len(times) > 1:
        raise Unclear("one_time")
    weekly = spoken.unit == "week" or bool(spoken.weekdays)
    if not weekly:
        if number > INTERVAL_DAYS_MAX:
            raise Unclear("far")
        first = datetime.combine(wall.date(), times[0])
        return Days(days=number, first=first if first > wall else first + timedelta(days=1))
    if len(spoken.weekdays) != 1:
        raise Unclear("which_day" if not spoken.weekdays else "several_days")
    if number > 52:
        raise Unclear("far")
    ahead = (spoken.weekdays[0] - wall.weekday()) % 7
    first = datetime.combine(wall.date() + timedelta(days=ahead), times[0])
    return Days(days=7 * number, first=first if first > wall else first + timedelta(days=7))


def _cron_days(spoken: Spoken, number: int) -> str:
    """Day of the month, month and day of the week as cron has them."""
    if spoken.date or spoken.slashed or spoken.month is not None:
        return _yearly(spoken, number)
    if spoken.nth and spoken.weekdays:
        return _nth_weekday(spoken, number)
    if spoken.nth or spoken.unit == "month":
        return _monthly(spoken, number)
    if spoken.weekdays and spoken.unit in {"", "week"}:
        if number > 1:
            raise Unclear("every_nth")
        return f"* * {','.join(_cron_weekdays(spoken.weekdays))}"
    if spoken.unit == "day" and not spoken.weekdays:
        return "* * *"
    raise Unclear("which_day")


def _cron_weekdays(days: list[int]) -> list[str]:
    return ["mon-fri"] if sorted(days) == [0, 1, 2, 3, 4] else [CRON_DAYS[day] for day in days]


def _nth_weekday(spoken: Spoken, number: int) -> str:
    """ "every second Friday" is every other one, or the second of each month."""
    if not spoken.of_month and spoken.unit != "month":
        raise Unclear("every_nth")
    if len(spoken.weekdays) != 1 or any(nth > 5 for nth in spoken.nth):
        raise Unclear("several_days")
    if 5 in spoken.nth:
        raise Unclear("not_each_month")
    day = spoken.weekdays[0]
    named = [f"L{(day + 1) % 7}" if nth < 0 else f"{CRON_DAYS[day]}#{nth}" for nth in spoken.nth]
    return f"* {_months(number)} {','.join(named)}"


def _monthly(spoken: Spoken, number: int) -> str:
    if not spoken.nth or spoken.weekdays:
        raise Unclear("which_day")
    if not (spoken.of_month or spoken.unit == "month"):
        raise Unclear("every_nth")
    if any(nth > MONTH_DAY_SURE for nth in spoken.nth):
        raise Unclear("not_each_month")
    days = ",".join("L" if nth < 0 else str(nth) for nth in spoken.nth)
    return f"{days} {_months(number)} *"


def _months(number: int) -> str:
    """Every so many months, as cron has them: the same ones each year."""
    if 12 % number:
        raise Unclear("far")
    return "*" if number == 1 else f"*/{number}"


def _yearly(spoken: Spoken, number: int) -> str:
    if (spoken.date and spoken.date[0]) or spoken.slashed or spoken.weekdays:
        raise NotRead("date")
    if spoken.unit not in {"", "year"}:
        raise NotRead("unit")
    if number > 1:
        raise Unclear("skips")
    month = spoken.month or (spoken.date[1] if spoken.date else 0)
    days = spoken.nth or ([spoken.date[2]] if spoken.date else [])
    if len(days) != 1 or not 1 <= days[0] <= 31 or not 1 <= month <= 12:
        raise Unclear("which_day")
    if days[0] > calendar.monthrange(2000, month)[1]:
        raise Unclear("no_day")
    return f"{days[0]} {month} *"
