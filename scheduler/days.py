"""Days of the calendar, as they are said; pure."""

import calendar
from datetime import date, datetime, timedelta

from scheduler.cursor import NotRead
from scheduler.time_of_day import Unclear

DAYS_OF = {"day": 1, "week": 7}
AHEAD_YEARS_MAX = 10


def later(day: date, number: float, unit: str) -> date:
    """The day so many days, weeks, months or years after `day`.

    :raises NotRead: not a whole number of them
    :raises Unclear: it is too far away
    """
    if number != int(number):
        raise NotRead("half")
    if number > 400 * AHEAD_YEARS_MAX:
        raise Unclear("far")
    if unit in DAYS_OF:
        return day + timedelta(days=int(number) * DAYS_OF[unit])
    months = day.month - 1 + int(number) * (12 if unit == "year" else 1)
    year, month = day.year + months // 12, months % 12 + 1
    if year > day.year + AHEAD_YEARS_MAX:
        raise Unclear("far")
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def slashed(parts: tuple[int, ...], wall: datetime) -> date:
    """The day of 24/12 or 12/24/2026. :raises Unclear: 3/4 could be two"""
    first, second, *rest = parts
    if first <= 12 and second <= 12 and first != second:
        raise Unclear("day_or_month", first=f"{first}", second=f"{second}")
    month, day = (first, second) if first <= 12 else (second, first)
    return dated(rest[0] if rest else None, month, day, wall)


def dated(year: int | None, month: int, day: int, wall: datetime) -> date:
    """A day of the calendar; without a year the next one that comes.

    :raises Unclear: there is none, or it is too far away
    """
    years = [year] if year else range(wall.year, wall.year + AHEAD_YEARS_MAX)
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        raise Unclear("no_day")
    for one in years:
        if one > wall.year + AHEAD_YEARS_MAX:
            raise Unclear("far")
        if one < wall.year - 1:
            # Also because the first year of the calendar has no neighbour in other zones.
            raise Unclear("past")
        if day <= calendar.monthrange(one, month)[1]:
            found = date(one, month, day)
            if year or found >= wall.date():
                return found
    raise Unclear("no_day")
