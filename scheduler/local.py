"""Wall-clock times of a zone and the moments that they are; pure.

the clock jumps ahead      a time in the gap is the moment at which the gap ends
the clock is set back      a time that comes twice is the first of the two
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Existence = Literal["once", "never", "twice"]


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name. :raises ValueError: there is none"""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{name!r} is no time zone") from error


def is_zone(name: str) -> bool:
    """Whether this host knows the zone: names come and go with its data of time zones."""
    try:
        zone_of(name)
    except ValueError:
        return False
    return True


def local(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clocks of the zone show at a moment, without the zone."""
    return moment.astimezone(zone).replace(tzinfo=None)


def existence(wall: datetime, zone: ZoneInfo) -> Existence:
    """How often the clocks of the zone show `wall`."""
    early, late = _both(wall, zone)
    if early == late:
        return "once"
    return "twice" if early < late else "never"


def moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks of the zone show `wall`, in UTC; see above for gaps and overlaps."""
    early, late = _both(wall, zone)
    return early if early <= late else change_between(late, early, zone)


def said_at(said: datetime, zone: ZoneInfo) -> datetime:
    """When a time is, in UTC: with an offset that decides, else the clocks of the zone."""
    return said.astimezone(UTC) if said.tzinfo else moment(said, zone)


def change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which the clocks are not as far from UTC as at `before`.

    :param after: when they are not any more
    """
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle <= before:
            break
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def _both(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """As it is read before the clock changes, and after."""
    early = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    late = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return early, late
