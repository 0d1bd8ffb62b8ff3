"""Hours in which nothing is posted; pure."""

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from scheduler.local import local, moment

_HOURS = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*-\s*(\d{1,2})(?::(\d{2}))?")


def read(said: str) -> str:
    """`22-7` as `22:00-07:00`; "off" as none. :raises ValueError: these are no hours"""
    if said.strip().casefold() in {"", "off", "none", "aus", "keine"}:
        return ""
    found = _HOURS.fullmatch(said.strip())
    if found is None:
        raise ValueError(f"{said!r} is no span of hours")
    first = time(int(found[1]), int(found[2] or 0))
    last = time(int(found[3]), int(found[4] or 0))
    if first == last:
        raise ValueError(f"{said!r} is the whole day or none of it")
    return f"{first:%H:%M}-{last:%H:%M}"


def ends(quiet: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    """When the hours that `now` is in are over; None: it is in none."""
    if not quiet:
        return None
    first, last = (time.fromisoformat(one) for one in quiet.split("-"))
    shown = local(now, zone)
    is_quiet = first <= shown.time() < last
    if first > last:
        is_quiet = shown.time() >= first or shown.time() < last
    if not is_quiet:
        return None
    day = shown.date() + timedelta(days=int(shown.time() >= last))
    until = moment(datetime.combine(day, last), zone)
    # Where clocks are set back they show the end twice: the hours were over the first time.
    return until if until > now else None
