"""A place in the words of a time: what stands there, and times of day and amounts from it on."""

from dataclasses import dataclass, replace
from typing import Any

from scheduler.when_words import Token

MINUTES_MAX = 59


class NotRead(ValueError):
    """These words are no time that we read."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A time of day as it was said."""

    hour: int
    minute: int = 0
    half: str = ""
    """`am` or `pm`."""
    is_full: bool = False
    """It was said with a leading zero: no other half of the day is meant."""
    or_later: bool = False
    """Some mean by it what is an hour later: "half nine"."""


class Cursor:
    """Goes through the words once."""

    def __init__(self, words: list[Token]) -> None:
        """Begin at the first of `words`."""
        self.words = words
        self.at = 0

    def kind(self, ahead: int = 0) -> str:
        """What kind of word stands `ahead` words on; empty: none."""
        at = self.at + ahead
        return self.words[at].kind if at < len(self.words) else ""

    def value(self, ahead: int = 0) -> Any:
        """What it means."""
        at = self.at + ahead
        return self.words[at].value if at < len(self.words) else None

    def is_word(self, *words: str, ahead: int = 0) -> bool:
        """Whether one of these joining words stands there."""
        return self.kind(ahead) == "word" and self.value(ahead) in words

    def take(self) -> Any:
        """Go on behind the word that stands here, and what that means."""
        value = self.value()
        self.at += 1
        return value

    def skip(self, *words: str) -> None:
        """Go on behind all of these."""
        while self.is_word(*words):
            self.at += 1

    def amount_ahead(self) -> bool:
        """Whether an amount of time stands behind the word that stands here."""
        if self.kind(1) in {"number", "decimal"}:
            return True
        return self.is_word("half", "one and a half", "quarter", ahead=1)

    def amount(self) -> tuple[float, str]:
        """So many units. :raises NotRead: something else stands here"""
        number = 1.0
        if self.kind() in {"number", "decimal"}:
            number = float(self.take())
        if self.is_word("half", "one and a half", "quarter"):
            number = {"half": 0.5, "quarter": 0.25, "one and a half": 1.5}[self.take()]
            if self.kind() == "number":
                self.take()
        if self.kind() != "unit":
            raise NotRead("unit")
        unit = self.take()
        if unit == "fortnight":
            number, unit = number * 2, "week"
        if self.is_word("and") and self.is_word("half", ahead=2):
            self.at += 3
            return number + 0.5, unit
        return self._and_minutes(number, unit)

    def _and_minutes(self, number: float, unit: str) -> tuple[float, str]:
        """ "1 hour and 30 minutes", "1h30m"."""
        ahead = 1 if self.is_word("and") else 0
        if unit == "hour" and self.kind(ahead) == "number" and self.value(ahead + 1) == "minute":
            number = number * 60 + self.value(ahead)
            self.at += ahead + 2
            return number, "minute"
        return number, unit

    def clock(self) -> Clock | None:
        """A time of day; None: something else stands here."""
        if self.kind() == "clock":
            hour, minute, is_full = self.take()
            return self._rest_of(Clock(hour=hour, minute=minute, is_full=is_full))
        if self.is_word("half", "halb", "quarter"):
            return self._fraction()
        if self.kind() != "number" or self.kind(1) in {"unit", "month"}:
            return None
        hour = self.take()
        if self.kind(1) == "number" and self._are_minutes(hour):
            return self._minutes_from(hour)
        return self._rest_of(Clock(hour=hour))

    def _fraction(self) -> Clock | None:
        """ "half past 8", "quarter to 9", "halb 9", "viertel nach 8"."""
        said = self.take()
        half = said != "quarter"
        sign, or_later = (-1 if half else 0), said == "half"
        if self.is_word("past", "to", "before"):
            or_later = False
            sign = 1 if self.take() == "past" else -1
        if sign == 0 or self.kind() != "number":
            raise NotRead("quarter")
        minutes = sign * (30 if half else 15)
        return self._rest_of(replace(_moved(self.take(), minutes), or_later=or_later))

    def _are_minutes(self, number: int) -> bool:
        """Whether "10 to 9" is ten minutes; "9 to 5" may be from one to the other."""
        if self.is_word("past", "before"):
            return True
        return self.is_word("to") and number % 5 == 0 and number > self.value(1)

    def _minutes_from(self, minutes: int) -> Clock:
        """ "10 past 8", "10 to 9"."""
        sign = 1 if self.take() == "past" else -1
        return self._rest_of(_moved(self.take(), sign * min(minutes, MINUTES_MAX)))

    def _rest_of(self, clock: Clock) -> Clock:
        if self.is_word("o'clock"):
            self.take()
            if self.kind() == "number" and self.kind(1) not in {"unit", "month"}:
                clock = replace(clock, minute=self.take())
        if self.kind() == "half":
            clock = replace(clock, half=self.take())
        return clock


def _moved(hour: int, minutes: int) -> Clock:
    return Clock(hour=hour - int(minutes < 0), minute=minutes % 60)
