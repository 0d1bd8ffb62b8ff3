"""The words of times in English and German, as tokens of one vocabulary; pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TOKENS_MAX = 40
"""Nobody needs more words to say when."""


@dataclass(frozen=True)
class Token:
    """A word, a number or a sign, and what it means in a time."""

    kind: str
    """`number`, `ordinal`, `clock`, `date`, `weekday`, `weekdays`, `month`, `unit`, `day`, `part`,
    `word` for what only joins the others, or `other`."""
    value: Any
    end: int
    """Where it ends in the text."""


_SHAPES = re.compile(
    r"""
    (?P<iso>\d{4}-\d{1,2}-\d{1,2}) (?:t(?=\d))?
  | (?P<dotted>\d{1,2}\.\s?\d{1,2}\.(?:\s?\d{4})?)
  | (?P<slashed>\d{1,2}/\d{1,2}(?:/\d{4})?)
  | (?P<clock>\d{1,2}:\d{2}(?!\d)(?::00)?)
  | (?P<point>\d{1,2}\.\d{2}(?=\s*uhr))
  | (?P<pointed>\d{1,2}\.(?:00|1[3-9]|[2-5]\d)(?![\d.,]))
  | (?P<ordinal>\d{1,2}(?:st|nd|rd|th)\b)
  | (?P<dot>\d{1,2}\.(?=\s|$|,))
  | (?P<decimal>\d+[.,]\d+)
  | (?P<part>(?:\d+\s?)?[½¼¾])
  | (?P<number>\d+)
  | (?P<half>[ap]\.?m\b\.?)
  | (?P<word>[^\W\d_]+(?:['\u2019][^\W\d_]+)?)
  | (?P<sign>[,&@:]|-|\u2013)
  | (?P<other>\S)
    """,
    re.VERBOSE,
)

_WEEKDAYS = (
    "monday mon montag mo",
    "tuesday tue tues dienstag di",
    "wednesday wed mittwoch mi",
    "thursday thu thur thurs donnerstag do",
    "friday fri freitag fr",
    "saturday sat samstag sonnabend sa",
    "sunday sun sonntag so",
)
_MONTHS = (
    "january jan januar jänner",
    "february feb februar",
    "march mar märz mrz",
    "april apr",
    "may mai",
    "june jun juni",
    "july jul juli",
    "august aug",
    "september sep sept",
    "october oct oktober okt",
    "november nov",
    "december dec dezember dez",
)
_NUMBERS = (
    "one",
    "two zwei",
    "three drei",
    "four vier",
    "five fünf",
    "six sechs",
    "seven sieben",
    "eight acht",
    "nine neun",
    "ten zehn",
    "eleven elf",
    "twelve zwölf",
)
_ARTICLES = "a an ein eine einer einem einen"
"""One of what follows, if that can be counted."""
_TENS = {"fifteen": 15, "fünfzehn": 15, "twenty": 20, "zwanzig": 20, "thirty": 30, "dreißig": 30}
_TENS |= {"forty": 40, "vierzig": 40, "ninety": 90, "neunzig": 90}
_ORDINALS = (
    "first erste ersten erster erstes",
    "second zweite zweiten zweiter zweites",
    "third dritte dritten dritter drittes",
    "fourth vierte vierten vierter viertes",
    "fifth fünfte fünften fünfter fünftes",
)
_UNITS = {
    "second": "seconds sec secs sekunde sekunden",
    "minute": "minute minutes min mins m minuten",
    "hour": "hour hours h hr hrs stunde stunden std",
    "day": "day days d tag tage tagen tages",
    "week": "week weeks w woche wochen",
    "fortnight": "fortnight fortnights",
    "month": "month months monat monate monaten monats",
    "year": "year years jahr jahre jahren jahres",
}
_PARTS = {
    "morning": "morning morgens früh vormittag vormittags",
    "noon": "noon midday mittag mittags",
    "afternoon": "afternoon nachmittag nachmittags",
    "evening": "evening abend abends",
    "night": "night nacht nachts",
    "midnight": "midnight mitternacht",
}
_WORDS = {
    "every": "every each jeden jede jedes jeder jedem alle",
    "daily": "daily täglich",
    "weekly": "weekly wöchentlich",
    "monthly": "monthly monatlich",
    "yearly": "yearly annually jährlich",
    "hourly": "hourly stündlich",
    "quarterly": "quarterly vierteljährlich",
    "fortnightly": "fortnightly",
    "weekday": "weekday workday werktag wochentag arbeitstag",
    "weekdays": "weekdays workdays werktags wochentags",
    "weekend": "weekend wochenende wochenenden",
    "weekends": "weekends",
    "other": "other",
    "at": "at um @",
    "on": "on am",
    "the": "the der die das den dem",
    "of": "of des im",
    "in": "in",
    "next": "next nächsten nächste nächster nächstes",
    "this": "this coming kommenden kommende kommender diesen diese dieser dieses",
    "until": "until till bis",
    "from": "starting from ab beginning",
    "and": "and und & ,",
    "to": "to",
    "before": "vor",
    "through": "through - \u2013",
    "past": "past nach",
    "half": "half halbe halben",
    "halb": "halb",
    "one and a half": "anderthalb eineinhalb",
    "quarter": "quarter viertel",
    "o'clock": "o'clock o\u2019clock oclock uhr",
    "after": "after",
    "last": "last letzte letzten letzter letztes",
}
_PARTS_OF_ONE = {"½": 0.5, "¼": 0.25, "¾": 0.75}
_DAYS = {"today": 0, "heute": 0, "tomorrow": 1, "morgen": 1, "übermorgen": 2, "overmorrow": 2}


def _vocabulary() -> dict[str, tuple[str, Any]]:
    known: dict[str, tuple[str, Any]] = {}

    def add(kind: str, value: Any, words: str) -> None:
        for word in words.split():
            known[word] = (kind, value)

    for number, words in enumerate(_MONTHS, 1):
        add("month", number, words)
    for number, words in enumerate(_NUMBERS, 1):
        add("number", number, words)
    for number, words in enumerate(_ORDINALS, 1):
        add("ordinal", number, words)
    add("article", 1, _ARTICLES)
    for word, number in _TENS.items():
        known[word] = ("number", number)
    for number, words in enumerate(_WEEKDAYS):
        add("weekday", number, words)
        # "mondays", "montags": on each of them.
        add("weekdays", number, " ".join(f"{word}s" for word in words.split() if len(word) > 5))
    for group, kind in ((_UNITS, "unit"), (_PARTS, "part"), (_WORDS, "word")):
        for value, words in group.items():
            add(kind, value, words)
    known |= {word: ("day", offset) for word, offset in _DAYS.items()}
    known["tonight"] = ("tonight", 0)
    return known


_KNOWN = _vocabulary()


def tokens(text: str) -> list[Token]:
    """The first words of a text; one that is no part of a time is `other`."""
    found: list[Token] = []
    for match in _SHAPES.finditer(text.lower()):
        if len(found) >= TOKENS_MAX:
            break
        kind, value = _read(str(match.lastgroup), match[0])
        found.append(Token(kind, value, match.end()))
    return [_in_place(found, number) for number in range(len(found))]


def _read(shape: str, said: str) -> tuple[str, Any]:
    if shape in _READERS:
        return _READERS[shape](said)
    return _KNOWN.get(said, ("other", said))


def _iso(said: str) -> tuple[str, Any]:
    year, month, day = said.rstrip("t").split("-")
    return "date", (int(year), int(month), int(day))


def _dotted(said: str) -> tuple[str, Any]:
    day, month, year = (part.strip() for part in said.split("."))
    return "date", (int(year) if year else None, int(month), int(day))


def _clock(said: str) -> tuple[str, Any]:
    hour, minute = said.replace(".", ":").split(":")[:2]
    return "clock", (int(hour), int(minute), len(hour) == 2)


_READERS: dict[str, Callable[[str], tuple[str, Any]]] = {
    "iso": _iso,
    "dotted": _dotted,
    "slashed": lambda said: ("slashed", tuple(int(part) for part in said.split("/"))),
    "clock": _clock,
    "point": _clock,
    "pointed": lambda said: ("pointed", said),
    "ordinal": lambda said: ("ordinal", int(re.sub(r"\D", "", said))),
    "dot": lambda said: ("ordinal", int(said[:-1])),
    "decimal": lambda said: ("decimal", float(said.replace(",", "."))),
    "part": lambda said: ("decimal", int(said[:-1].strip() or 0) + _PARTS_OF_ONE[said[-1]]),
    "number": lambda said: ("number", int(said[:9])),
    "half": lambda said: ("half", f"{said[0]}m"),
}


def _in_place(found: list[Token], number: int) -> Token:
    """Words that mean one thing or another by what stands beside them."""
    token = found[number]
    if token.kind == "article":
        behind = found[number + 1] if number + 1 < len(found) else Token("", None, 0)
        is_one = behind.kind == "unit" or (behind.kind, behind.value) in _COUNTED
        return Token("number" if is_one else "other", 1, token.end)
    before = found[number - 1] if number else Token("", None, 0)
    if token.kind == "half" and token.value == "am" and before.kind not in {"number", "clock"}:
        return Token("word", "on", token.end)  # German: am Freitag
    if token.kind == "day" and token.value == 1 and _is_morning(before):
        return Token("part", "morning", token.end)
    if token.kind == "pointed":
        # "9.30" is no day of a month; with a unit behind it, it is an amount.
        is_amount = number + 1 < len(found) and found[number + 1].kind == "unit"
        return Token(*_READERS["decimal" if is_amount else "clock"](token.value), token.end)
    return token


_COUNTED = {("word", "half"), ("word", "quarter"), ("word", "o'clock")}
_BEFORE_MORNING = {("half", "am"), ("word", "on"), ("word", "every"), ("day", 0)}


def _is_morning(before: Token) -> bool:
    """Whether "morgen" behind it is the morning."""
    return (before.kind, before.value) in _BEFORE_MORNING
