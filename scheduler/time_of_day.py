"""Which time of day somebody means; pure."""

from datetime import time

from scheduler.cursor import Clock, NotRead
from scheduler.slots import Spoken

ASSUMED = time(9)
"""Of a day for which no time was said."""
EARLY_HOUR_MAX = 7
"""Up to it a bare hour could as well be one of the afternoon."""
NOON = time(12)


class Unclear(ValueError):
    """It could mean several times, or none: whoever said it has to be asked."""

    def __init__(self, code: str, **values: str) -> None:
        """`code` names what is to be asked; `values` fill in the question."""
        super().__init__(f"{code}: {values}" if values else code)
        self.code = code
        self.values = values


def times_of(spoken: Spoken, *, may_assume: bool) -> tuple[list[time], bool]:
    """The times of day that are said, and whether the only one is assumed.

    :param may_assume: a day was said, so that its time may be left out
    :raises NotRead: there is no such time
    :raises Unclear: it could be one of two
    """
    if spoken.is_span:
        raise Unclear("one_time")
    if spoken.times:
        return [_time(clock, spoken) for clock in spoken.times], False
    if spoken.part == "noon":
        return [NOON], False
    if spoken.part == "midnight":
        raise Unclear("midnight")
    if spoken.part:
        raise Unclear("which_hour")
    if not may_assume:
        raise NotRead("time")
    return [ASSUMED], True


def _time(clock: Clock, spoken: Spoken) -> time:
    if not (0 <= clock.hour <= 23 and 0 <= clock.minute <= 59):
        raise NotRead(f"{clock.hour}:{clock.minute:02}")
    if clock.or_later:
        first, second = time(clock.hour, clock.minute), time((clock.hour + 1) % 24, clock.minute)
        raise Unclear("half_of_day", first=f"{first:%H:%M}", second=f"{second:%H:%M}")
    hour = _hour(clock, spoken.part)
    if spoken.part == "night" and hour <= EARLY_HOUR_MAX and _names_a_day(spoken):
        # Of Friday night at one, most mean Saturday.
        raise Unclear("which_day")
    return time(hour, clock.minute)


def _names_a_day(spoken: Spoken) -> bool:
    by_name = spoken.day is not None or bool(spoken.weekdays) or spoken.month is not None
    return by_name or bool(spoken.nth) or bool(spoken.date) or bool(spoken.slashed)


def _hour(clock: Clock, part: str) -> int:
    hour = clock.hour
    if clock.half:
        if not 1 <= hour <= 12:
            raise NotRead(f"{hour} {clock.half}")
        return hour % 12 + (12 if clock.half == "pm" else 0)
    if part:
        return _hour_in(part, hour)
    if 1 <= hour <= EARLY_HOUR_MAX and not clock.is_full:
        early, late = time(hour, clock.minute), time(hour + 12, clock.minute)
        raise Unclear("half_of_day", first=f"{early:%H:%M}", second=f"{late:%H:%M}")
    return hour


def _hour_in(part: str, hour: int) -> int:
    """An hour of a part of the day: seven in the evening is 19."""
    hours = {
        "morning": (range(3, 13), 0),
        "noon": (range(11, 15), 0),
        "afternoon": (range(1, 7), 12),
        "evening": (range(5, 12), 12),
        "night": (range(8, 12), 12),
        "midnight": (range(0, 1), 0),
    }
    said, added = hours[part]
    if part == "noon" and hour in {1, 2}:
        return hour + 12
    if part == "night" and (hour == 12 or hour in range(0, 6)):
        return hour % 12
    if hour in said:
        return hour + added
    if hour >= 12 and hour - added in said:
        return hour
    raise Unclear("contradiction")
