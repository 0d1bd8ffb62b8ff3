"""The words of a time are heard one after the other, and fill its slots; pure.

Their order is free: each word fills a slot, and one that is filled twice is not read.
"""

from typing import Any

from scheduler.cursor import Clock, Cursor, NotRead
from scheduler.slots import Spoken
from scheduler.when_words import Token, tokens


def read(text: str) -> Spoken:
    """The slots of a whole text. :raises NotRead: it is no time"""
    return _Hearing(tokens(text)).whole()


class _Hearing(Cursor):
    """Goes through the tokens once."""

    def __init__(self, words: list[Token]) -> None:
        super().__init__(words)
        self._said = Spoken()

    def whole(self) -> Spoken:
        if not self.words:
            raise NotRead("")
        while self.at < len(self.words):
            if not self._element():
                raise NotRead(str(self.value()))
        return self._said

    def _element(self) -> bool:
        return (
            self._repetition()
            or self._edge()
            or self._after()
            or self._week()
            or self._calendar()
            or self._days()
            or self._time()
            or self._part()
            or self._glue()
        )

    def _fill(self, slot: str, value: Any) -> bool:
        if getattr(self._said, slot) not in (None, "", []):
            raise NotRead(slot)
        setattr(self._said, slot, value)
        return True

    # How often.

    def _repetition(self) -> bool:
        adverbs = {"daily": (1, "day"), "weekly": (1, "week"), "monthly": (1, "month")}
        adverbs |= {"yearly": (1, "year"), "hourly": (1, "hour"), "quarterly": (3, "month")}
        adverbs |= {"fortnightly": (2, "week")}
        if self.kind() == "word" and self.value() in adverbs:
            number, unit = adverbs[self.take()]
            return self._fill("every", number) and self._fill("unit", unit)
        if self.is_word("weekdays", "weekends"):
            return self._fill("every", 1) and self._group()
        if self.kind() == "weekdays":
            return self._fill("every", 1) and self._weekdays()
        if not self.is_word("every"):
            return False
        self.take()
        if self._said.every is not None and self.kind() == "unit":
            return self._of_unit()
        return self._fill("every", 1) and self._repeated()

    def _repeated(self) -> bool:
        """What follows "every"."""
        if self.is_word("other"):
            self.take()
            self._said.other = True
        if self.kind() == "number" and self.kind(1) != "month":
            self._said.every = self.take()
        before = len(self._said.nth)
        while self.kind() == "ordinal" or self.is_word("last"):
            self._nth()
        if self.kind() == "unit":
            return self._repeated_unit(before)
        if self._group() or self._weekdays():
            return True
        if self.kind() == "part":
            return self._fill("unit", "day")
        return self.kind() in {"month", "date", "number"} or self.is_word("on", "of")

    def _repeated_unit(self, before: int) -> bool:
        """ "every third day"; `before` is how many ordinals stood in front of "every"."""
        unit = self.take()
        if unit == "fortnight" and self._said.other:
            raise NotRead(unit)
        if unit == "fortnight":
            self._said.every, unit = (self._said.every or 1) * 2, "week"
        if self.is_word("of", "every") and self._said.nth and unit == "day":
            return self._of_month_day()
        if before == 0 and len(self._said.nth) == 1 and self._said.nth[0] > 1:
            self._said.every, self._said.nth = self._said.nth[0], []
        return self._fill("unit", unit)

    def _of_unit(self) -> bool:
        """ "every month" behind "on the 15th of"."""
        unit = self.take()
        if self._said.unit or unit not in {"month", "year"}:
            raise NotRead(unit)
        self._said.unit = unit
        return True

    def _group(self) -> bool:
        groups = {"weekday": range(5), "weekdays": range(5), "weekend": (5, 6), "weekends": (5, 6)}
        if self.kind() != "word" or self.value() not in groups:
            return False
        return self._fill("weekdays", list(groups[self.take()]))

    # Which days.

    def _nth(self) -> None:
        self._said.nth.append(-1 if self.is_word("last") else self.value())
        self.take()
        if self.is_word("and") and (
            self.kind(1) == "ordinal" or self.is_word("last", "the", ahead=1)
        ):
            self.take()
            self.skip("the")

    def _calendar(self) -> bool:
        if self.kind() in {"date", "slashed"}:
            return self._fill(self.kind(), self.take())
        if self.kind() == "month":
            self._fill("month", self.take())
            return self._day_of_month()
        if self.kind() == "number" and self.kind(1) == "month":
            self._said.nth.append(self.take())
            return True
        if self.kind() == "ordinal" or self.is_word("last"):
            self._nth()
            return self._of_month_day() if self.kind() == "unit" else True
        if self.is_word("of") and (self.kind(1) == "unit" or self.is_word("the", "every", ahead=1)):
            return self._of_month()
        return False

    def _day_of_month(self) -> bool:
        """ "december 24": what stands behind a month is a day, unless it is a time."""
        if not self._said.nth and self.kind() in {"number", "ordinal"}:
            self._said.nth.append(self.take())
        if self.kind() == "number" and self.value() > 2000:
            self._said.date = (self.take(), 0, 0)
        return True

    def _of_month_day(self) -> bool:
        """ "last day of the month"."""
        if self.kind() == "unit" and self.take() != "day":
            raise NotRead("unit")
        self._said.unit = self._said.unit or "month"
        self._said.of_month = True
        return True

    def _of_month(self) -> bool:
        self.take()
        self.skip("the")
        if self.is_word("every"):
            self.take()
            self._said.every = self._said.every or 1
        if self.kind() != "unit" or self.take() != "month":
            raise NotRead("month")
        self._said.of_month = True
        return True

    def _days(self) -> bool:
        if self.kind() == "tonight":
            self.take()
            return self._fill("day", 0) and self._fill("part", "evening")
        if self.kind() == "unit" and self.value() == "day" and self.is_word("after", ahead=1):
            self.at += 2
            return self.take() == 1 and self._fill("day", 2)
        if self.kind() == "day":
            return self._fill("day", self.take())
        return self._weekdays()

    def _weekdays(self) -> bool:
        """One or several: "mon, wed and fri", "monday to friday", "mo-fr"."""
        if self.kind() not in {"weekday", "weekdays"}:
            return False
        before = self.words[self.at - 1] if self.at else None
        if before and (before.kind == "ordinal" or before.value == "last"):
            self._said.of_weekday = True
        days = [self.take()]
        while self.is_word(*_BETWEEN) and self.kind(1) in {"weekday", "weekdays"}:
            is_range = self.take() != "and"
            first, last = days[-1], self.take()
            between = range(first + 1, first + (last - first) % 7) if is_range else ()
            days += [*(day % 7 for day in between), last]
        return self._fill("weekdays", days)

    def _week(self) -> bool:
        """ "next", "this", and "next week"."""
        if not self.is_word("next", "this"):
            return False
        which = self.take()
        if self.kind() == "unit":
            return self._fill("next_unit", f"{which} {self.take()}")
        if which == "this" and self.kind() == "part":
            return self._fill("day", 0)
        return self._fill("week", which)

    # How long from now, and between what.

    def _after(self) -> bool:
        if not self.is_word("in") or self._said.after is not None:
            return False
        if not self.amount_ahead():
            return False
        self.take()
        number, unit = self.amount()
        return self._fill("after", (number, unit))

    def _edge(self) -> bool:
        """ "until friday", "starting 2026-12-01": the rest of it is a time of its own."""
        if not self.is_word("until", "from"):
            return False
        slot = "until" if self.take() == "until" else "start"
        rest = self.words[self.at :]
        ends = [n for n, one in enumerate(rest) if one.kind == "word" and one.value in _EDGES]
        part = rest[: ends[0]] if ends else rest
        self._fill(slot, _Hearing(part).whole())
        self.at += len(part)
        return True

    # What the clock shows.

    def _time(self) -> bool:
        if self.is_word("at"):
            self.take()
            if self._part():
                return True
        clock = self.clock()
        if clock is None:
            return False
        self._said.times.append(clock)
        if self.is_word("to", "through") and self.kind(1) in {"number", "clock"}:
            self.take()
            self._said.is_span = self.clock() is not None
        while self.is_word("and") and self.kind(1) in {"number", "clock"}:
            self.take()
            self._said.times.append(self.clock() or Clock(hour=99))
        return True

    def _part(self) -> bool:
        if self.kind() == "part":
            return self._fill("part", self.take())
        for length in (1, 2):
            if self.kind(length) == "part" and all(
                self.is_word("in", "the", "at", "on", "of", "this", ahead=n) for n in range(length)
            ):
                self.at += length
                return self._fill("part", self.take())
        return False

    def _glue(self) -> bool:
        """Words between the others that say nothing of their own."""
        if not self.is_word("on", "the", "at", "and", "of", "in") or self.at + 1 >= len(self.words):
            return False
        self.take()
        return True


_BETWEEN = ("and", "to", "through", "until")
_EDGES = frozenset(
    {"until", "from", "every", "daily", "weekly", "monthly", "yearly", "hourly", "weekdays"}
)
"""Words with which something else than a date begins."""
