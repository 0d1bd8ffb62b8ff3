"""From the words of a time to a schedule, in the zone of whoever said them; pure.

    text ─▶ words (`when_words`) ─▶ slots (`spoken`) ─▶ a rule, or what has to be asked back

English and German are read. What could mean two things is `Unclear` and never guessed, and so is
what may go on in another language (`unread`); only a day without a time of day is taken at nine,
and `Reading.is_assumed` says so.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scheduler import meaning, unread
from scheduler.cursor import NotRead
from scheduler.local import local, moment, zone_of
from scheduler.meaning import Unclear
from scheduler.rules import Cron, NeverComes, Once, OutOfBounds, Rule
from scheduler.schedule import Schedule
from scheduler.slots import Spoken
from scheduler.spoken import read
from scheduler.when_words import tokens

__all__ = ["NotRead", "Reading", "Unclear", "first_part", "last_part", "when"]

WORDS_MAX = 24
"""Of a time in front of what it is for."""
_ZONE = re.compile(r"\s+\(?((?:[A-Z][A-Za-z_]+/)+[A-Z][A-Za-z_+-]*|UTC|GMT)\)?\s*$")
_ABBREVIATED = re.compile(r"\s+\(?(CES?T|[ECMP][SD]T|BST|IST|JST|AES?T|MES?Z)\)?\s*$")
_ISO = re.compile(r"(\d{4}-\d\d?-\d\d?T\d\d:\d\d(?::00)?)(Z|[+-]\d\d(?::?\d\d)?)\s*$", re.I)
_CRON = re.compile(r"^(?:cron:?\s+)?((?:[\d*][^\s]*\s+){2}(?:\S+\s+){2}\S+)$", re.IGNORECASE)
_CRON_PREFIX = re.compile(
    r"^(?:cron:?\s+)?((?:[\d*/,-]+\s+){2}(?:[\w*/,#-]+\s+){2}[\w*/,#-]+)(?=\s)"
)

_AN_HOUR = re.compile(r"(?:at |um |@ ?)?\d", re.IGNORECASE)
"""What behind a day without a time begins like one that we don't read."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was understood."""

    schedule: Schedule
    said: str
    """The words that were read."""
    is_assumed: bool = False
    """No time of day was said: nine was taken."""
    is_assumed_day: bool = field(default=False, compare=False)
    """No day was said: the next on which that time of day comes was taken."""
    rest: str = field(default="", compare=False)
    """What stood behind or in front of them."""


def when(text: str, *, now: datetime, zone: str) -> Reading:
    """Read a whole text as a time.

    :param now: what "tomorrow" and "in" count from
    :param zone: IANA name of the zone of whoever said it, unless they named another
    :raises NotRead: it is no time, or in words that we don't read
    :raises Unclear: it could mean several times, or none
    """
    said, zone = _zone_in(text.strip(), zone)
    if cron := _CRON.match(said):
        return _reading(text, _cron(cron[1]), zone, now)
    spoken = read(said)
    edges = _Edges(spoken, now, zone_of(zone))
    rule, is_assumed = meaning.of(spoken, edges.begin(now), zone_of(zone))
    return replace(
        _reading(text, rule, zone, now, starts_at=edges.starts_at, ends_at=edges.ends_at),
        is_assumed=is_assumed,
        is_assumed_day=_assumes_day(spoken, now, zone_of(zone)),
    )


def _assumes_day(spoken: Spoken, now: datetime, zone: ZoneInfo) -> bool:
    if spoken.after is not None or meaning.repeats(spoken):
        return False
    return meaning.day_of(spoken, local(now, zone)) is None


def _cron(fields: str) -> Cron:
    try:
        return Cron(fields=fields)
    except NeverComes as error:
        raise Unclear("never") from error
    except OutOfBounds as error:
        raise Unclear("cron", field=error.field, given=str(error.given)) from error
    except ValueError as error:
        raise NotRead(str(error)) from error


def _reading(text: str, rule: Rule, zone: str, now: datetime, **edges: Any) -> Reading:
    """:raises Unclear: it will never be due"""
    schedule = Schedule(rule=rule, zone=zone, **edges)
    if schedule.next_after(now) is None:
        raise Unclear("past" if isinstance(rule, Once) else "never")
    return Reading(schedule=schedule, said=text.strip())


def first_part(text: str, *, now: datetime, zone: str) -> Reading:
    """Read the words in front of a text as a time, as many of them as make one.

    :raises NotRead: it begins with no time
    :raises Unclear: it begins with one that could mean several
    """
    if cron := _CRON_PREFIX.match(text):
        return replace(when(cron[0], now=now, zone=zone), rest=text[cron.end() :].strip())
    words = tokens(text)[:WORDS_MAX]
    for word in reversed(words):
        if word.end < len(text) and not text[word.end].isspace() and text[word.end] not in ",:;":
            continue
        try:
            reading = when(text[: word.end], now=now, zone=zone)
        except NotRead:
            continue
        rest = text[word.end :].lstrip(" ,:;-\u2013\n").strip()
        if reading.is_assumed and _AN_HOUR.match(rest):
            raise Unclear("which_hour")
        return _sure(reading, rest, behind=True)
    raise NotRead(text)


def last_part(text: str, *, now: datetime, zone: str) -> Reading:
    """Like `first_part`, of the words at the end of a text."""
    starts = [match.start() for match in re.finditer(r"\S+", text)][-WORDS_MAX:]
    for start in starts[1:]:
        try:
            reading = when(text[start:], now=now, zone=zone)
        except NotRead:
            continue
        return _sure(reading, text[:start].strip())
    raise NotRead(text)


def _sure(reading: Reading, rest: str, *, behind: bool = False) -> Reading:
    """With what stands beside it. :raises Unclear: that may be a part of the time, unread"""
    may_be_day = reading.is_assumed_day and unread.names_day(rest)
    may_be_hour = reading.is_assumed and behind and unread.begins_with_hour(rest)
    may_be_more = behind and unread.goes_on(rest, is_assumed=reading.is_assumed)
    if may_be_day or may_be_hour or may_be_more:
        raise Unclear("unread")
    return replace(reading, rest=rest)


def _zone_in(text: str, zone: str) -> tuple[str, str]:
    """The zone that is named at the end of the text, else the given one."""
    if _ABBREVIATED.search(text):
        raise Unclear("zone")
    if iso := _ISO.search(text):
        if iso[2].upper() != "Z":
            raise Unclear("zone")
        return text[: iso.end(1)], "UTC"
    named = _ZONE.search(text)
    if named is None:
        return text, zone
    name = "UTC" if named[1] == "GMT" else named[1]
    try:
        zone_of(name)
    except ValueError as error:
        raise NotRead(name) from error
    return text[: named.start()], name


class _Edges:
    """The dates between which it is due."""

    def __init__(self, spoken: Spoken, now: datetime, zone: ZoneInfo) -> None:
        self._zone = zone
        if (spoken.start or spoken.until) and not meaning.repeats(spoken):
            raise NotRead("until")
        start = self._day(spoken.start, now) if spoken.start else None
        until = self._day(spoken.until, start[0] if start else now) if spoken.until else None
        self.starts_at = start[0] if start else None
        self.ends_at: datetime | None = None
        if until is not None:
            at, is_day = until
            self.ends_at = at if not is_day else self._end_of(local(at, zone).date())

    def begin(self, now: datetime) -> datetime:
        """From when the first time is looked for."""
        return max(now, self.starts_at) if self.starts_at else now

    def _day(self, spoken: Spoken, now: datetime) -> tuple[datetime, bool]:
        if not spoken.times:
            day = meaning.day_of(spoken, local(now, self._zone))
            if day is None:
                raise NotRead("until")
            return moment(datetime.combine(day, time()), self._zone), True
        rule, _assumed = meaning.of(spoken, now, self._zone)
        if not isinstance(rule, Once) or meaning.day_of(spoken, local(now, self._zone)) is None:
            raise NotRead("until")
        return rule.at, False

    def _end_of(self, day: date) -> datetime:
        last = moment(datetime.combine(day + timedelta(days=1), time()), self._zone)
        return last - timedelta(seconds=1)
