"""The commands about reminders: setting one, and what is done to those that are there; pure.

    remind <whom, and whom> <when> <what> [only if something changed]

What begins with whom but has no time that can be read is one too: its time is asked for, as words
of other languages are not guessed at. A question to the agent ("remind me how …") is a prompt.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from bot.words.reminding import IF_CHANGED, MOMENT, WHOM
from scheduler.when import NotRead, Unclear, first_part, last_part


@dataclass(frozen=True, kw_only=True)
class Remind:
    """Something shall be said to somebody at a time."""

    whom: tuple[str, ...]
    """At least one of `me`, `here`, `channel`, a person behind `@`, a channel behind `#`."""
    words: str
    """When and what, in one."""
    behind: bool = False
    """The time stands at the end."""
    only_changed: bool = False
    """Only if something changed since the last time."""
    is_unread: bool = False
    """There is no time in it that can be read: it has to be asked for."""

    def what_of(self, rest: str) -> str:
        """What is left of the words without the time."""
        return _JOINING.sub("", _CHANGED_FIRST.sub("", rest, count=1), count=1).strip()

    def compares(self, rest: str) -> bool:
        """Whether it is to be said only if something changed.

        :param rest: the words without the time
        """
        return self.only_changed or _CHANGED_FIRST.match(rest) is not None


ReminderAct = Literal[
    "list",
    "show",
    "delete",
    "pause",
    "resume",
    "edit",
    "yes",
    "answer",
    "no",
    "done",
    "snooze",
    "stop",
]


@dataclass(frozen=True, kw_only=True)
class Reminders:
    """Something about reminders that are there."""

    act: ReminderAct = "list"
    short: str = ""
    rest: str = ""


_AND = re.compile(r"\s*(?:,\s*(?:and\s+|und\s+)?|\s(?:and|und|&)\s)\s*", re.IGNORECASE)


def _reminds(name: str) -> re.Pattern[str]:
    """`remind`, whom, and the rest; `name` is the pattern of a person's name."""
    one = rf"(?:{'|'.join(WHOM)}|@{name}|#[\w-]+)"
    return re.compile(
        rf"^(?:remind|erinnere)\s+({one}(?:{_AND.pattern}{one})*)(?:\s*[,:]?\s+(.+)|[.,:!?]*)$",
        re.IGNORECASE | re.DOTALL,
    )


_REMIND = (_reminds(r"[\w.-]+"), _reminds(r"[\w.-]+(?: [\w.-]+){1,2}?"))
"""Some names have spaces in them; whoever is called by one word is tried first."""
_CHANGED_FIRST = re.compile(rf"^{IF_CHANGED}\s*[,:]?\s*", re.IGNORECASE)
# A run of such signs is read once, from its beginning: every message is looked at for this.
_CHANGED_LAST = re.compile(rf"(?<![\s,;(])[\s,;(]++{IF_CHANGED}\)?[.!]?$", re.IGNORECASE)
_JOINING = re.compile(r"^(?:to|that|about|of|an|daran,?|dass)\s+", re.IGNORECASE)
_BEHIND = re.compile(r"(?:^|\s)((?:to|that|about|daran,?|dass)\s.+)$", re.IGNORECASE | re.DOTALL)
_REMINDERS = re.compile(
    r"^reminders(?:\s+(show|delete|pause|resume|edit|yes|answer|no|done|snooze|stop)"
    r"\s+(r-[a-z0-9]+)(?:\s+(.+))?)?[.!]?$",
    re.IGNORECASE | re.DOTALL,
)
_QUESTION = re.compile(
    r"(?:what|which|how|why|where|who|whose|whom|whether"
    r"|was|welche[mnrs]?|wie|warum|wieso|weshalb|wo|woran|wer|wem|wen|wessen|ob)\b",
    re.IGNORECASE,
)
"""Begins a question: whoever wants it answered now says so to the agent."""
_READ_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""Whether words are a time does not depend on when they are said."""


def reminder_command(said: str) -> Remind | Reminders | None:
    """What the whole message asks for; None: it is no such command."""
    if match := _REMINDERS.match(said):
        act = (match[1] or "list").lower()
        return Reminders(act=act, short=(match[2] or "").lower(), rest=match[3] or "")  # type: ignore[arg-type]
    return _remind(said)


def with_moment(said: str, *, elsewhere: bool = False) -> str:
    """The same command with MOMENT in place of its time; empty: it is no reminder.

    :param elsewhere: it is said in another place; empty too if it would mean that one then

    Which words were meant as a time is not known: what stands behind "to" and the like is what is
    said, else all of it is.
    """
    match = next((found for form in _REMIND if (found := form.match(said))), None)
    if match is None or not match[2]:
        return ""
    if elsewhere and not all(one == "me" or one.startswith("@") for one in _each(match[1])):
        return ""
    what = _BEHIND.search(match[2])
    return f"remind {match[1]} {MOMENT} {what[1] if what else match[2].strip()}"


def _remind(said: str) -> Remind | None:
    """A reminder if whom can be read, and when can be or is to be asked back."""
    words = _CHANGED_LAST.sub("", said)
    matches = [match for form in _REMIND if (match := form.match(words))]
    for match in matches:
        found = _reminding(match[1], (match[2] or "").strip(), only_changed=words != said)
        if found is not None:
            return found
    return _unread(matches[0][1], (matches[0][2] or "").strip()) if matches else None


def _unread(whom: str, words: str) -> Remind | None:
    """A reminder without a time; None: it is a question to the agent."""
    each = _each(whom)
    if _QUESTION.match(words) and set(each) <= {"me", "here"}:
        return None
    return Remind(whom=each, words=words, is_unread=True)


def _reminding(whom: str, words: str, *, only_changed: bool) -> Remind | None:
    known = {"whom": _each(whom), "words": words, "only_changed": only_changed}
    if _is_time(first_part, words):
        return Remind(**known)  # type: ignore[arg-type]
    if _JOINING.match(words) and _is_time(last_part, words):
        return Remind(**known, behind=True)  # type: ignore[arg-type]
    return None


def _each(said: str) -> tuple[str, ...]:
    """Whom a list names, each once."""
    spaced = (" ".join(one.split()) for one in _AND.split(said))
    return tuple(dict.fromkeys(WHOM.get(one.casefold(), one) for one in spaced))


def _is_time(part: Callable[..., object], words: str) -> bool:
    try:
        part(words, now=_READ_AT, zone="UTC")
    except Unclear:
        return True
    except NotRead:
        return False
    return True
