"""From the text of a message to what it asks for; pure.

Anything is a prompt unless the whole message has the form of a command. Words that merely begin
like one ("stop using tabs") are prompts; the reply may offer the command they resemble.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal
from uuid import UUID

from adapters.chat.prefixes import OPTIONS, PRIVATE, addressed, read
from bot.conversation import thread_links
from bot.conversation.reminder_commands import Remind, Reminders, reminder_command
from bot.conversation.thread_links import ThreadLink
from bot.words.reminding import EXAMPLE

ALONE = (
    "stop",
    "stop all",
    "resume",
    "clear",
    "status",
    "queue",
    "sessions",
    "retry",
    "undo",
    "mute",
    "unmute",
    "help",
)
"""Commands that are the whole message."""

SessionWord = Literal[
    "stop",
    "stop all",
    "resume",
    "clear",
    "status",
    "queue",
    "retry",
    "undo",
    "mute",
    "unmute",
    "cancel",
    "continue",
]
"""Commands about one session."""
Word = Literal[SessionWord, "sessions", "help"]

AGAIN_OPTIONS = frozenset({"agent", "model"})
"""Those that may stand before `retry`."""
RESEMBLANCE_WORDS_MAX = 3
"""Longer messages are meant as they are."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """Words for the agent."""

    text: str
    kind: Literal["text", "command"] = "text"
    new: bool = False
    now: bool = False
    private: bool = False
    options: dict[str, str] = field(default_factory=dict)
    resembles: str | None = None
    """The command that the text may have been meant as, or the option with its `=`."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """Something for us: never reaches the agent."""

    word: Word
    number: int | None = None
    """Of `cancel`, the place in the queue; of `continue`, which of what is offered."""
    options: dict[str, str] = field(default_factory=dict)
    """Of `retry`: `agent` and `model`."""
    prompt: UUID | None = None
    """Whose turn it is about, where a button says it: `retry`, `undo`, and `continue`, which nobody
    else says. Without it, it is the last one."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One of the choices of a question; only buttons say it."""

    question: UUID
    number: int
    """Of the choice, from 1."""


@dataclass(frozen=True, kw_only=True)
class Join:
    """This thread shall talk to a session that is there already."""

    session: str
    """Its short id; empty: the one that `link` leads to."""
    link: ThreadLink | None = None


@dataclass(frozen=True, kw_only=True)
class Allow:
    """The session may reach what its people were asked about."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Connect:
    """Another account is the author's too."""

    code: str = ""
    """One that they were given where they have the other account."""
    forge: str = ""
    """Surface of the forge on which it is."""


RunAct = Literal["list", "show", "stop", "rerun"]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Something about runs of automations."""

    act: RunAct = "list"
    short: str = ""
    which: str = ""
    """Of `rerun`: `failed`, `all` or the number of a target; empty: those that failed."""


@dataclass(frozen=True, kw_only=True)
class Automations:
    """Something about automations that are there."""

    act: Literal["list", "run", "pause", "resume"] = "list"
    name: str = ""
    """Name, PROJECT/NAME, or short name."""


@dataclass(frozen=True, kw_only=True)
class Aside:
    """Not for the bot: nothing happens."""


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """An empty message."""


Asked = Command | Answer | Join | Allow | Connect | Remind | Reminders | Runs | Automations
Parsed = Prompt | Asked | Aside | Nothing

OPTION_LIKENESS_MIN = 0.7
"""From 0 to 1: `sizze` is like `size`, `type` is not."""
_LIKE_OPTION = re.compile(r"^([A-Za-z]+)=\S")
NUMBER_DIGITS_MAX = 9
"""Of a place in a queue; no queue is as long."""
TARGET_DIGITS_MAX = 4
"""Of a target's place in its run."""
_CANCEL = re.compile(r"^cancel\s+#?(\d+)$", re.IGNORECASE)
_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ABOUT_PROMPT = re.compile(rf"^(retry|undo|continue) ({_ID})(?: ([1-9]))?$")
_ANSWER = re.compile(rf"^answer ({_ID}) (\d{{1,2}})$")
_JOIN = re.compile(
    r"^join\s+(?:https?://\S+/sessions/(s-[a-z0-9]+)(?:[/?#]\S*)?|(s-[a-z0-9]+))$", re.IGNORECASE
)
"""By its short name, or by a link to its page."""
_JOIN_LINK = re.compile(r"^join\s+(https?://\S+)$", re.IGNORECASE)
_ALLOW = re.compile(
    r"^allow\s+(`?)(?:https?://)?((?:[a-z0-9_-]{1,63}\.){1,126}[a-z0-9_-]{1,63}):(\d{1,5})/?\1$",
    re.IGNORECASE,
)
"""As the notice says it; a surface may have made a link of it."""
_CONNECT = re.compile(
    r"^connect(?:\s+(?:([a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4})|(github|gitlab)))?[.!]?$",
    re.IGNORECASE,
)
_RUNS = re.compile(
    r"^runs(?:\s+(?:(show|stop)\s+(run-[a-z0-9]+)|(rerun)\s+(run-[a-z0-9]+)"
    rf"(?:\s+(failed|all|#?\d{{1,{TARGET_DIGITS_MAX}}}))?))?[.!]?$",
    re.IGNORECASE,
)
_TARGET = re.compile(
    rf"^(?:#|target\s+)(\d{{1,{TARGET_DIGITS_MAX}}})(?:\s*:\s*|\s+)(?=\S)", re.IGNORECASE
)
_AUTOMATIONS = re.compile(
    r"^automations(?:\s+(run|pause|resume)\s+((?:[\w.-]+/)?[\w.-]*[\w-]))?[.!]?$", re.IGNORECASE
)


def parse(text: str, mention: str = "ona") -> Parsed:
    """Say what the message `text` asks for; `@mention` or `/mention` in front is not part of it."""
    said = addressed(text, mention)
    if not said:
        return Nothing()
    command = _command(said)
    if command is not None:
        return command
    return _prompt(said)


def _command(said: str) -> Asked | None:
    words = " ".join(said.casefold().split()).rstrip(".!")
    if words in ALONE:
        return Command(word=words)  # type: ignore[arg-type]
    match = _CANCEL.match(said)
    if match:
        return Command(word="cancel", number=int(match.group(1)[:NUMBER_DIGITS_MAX]))
    if joined := _joined(said):
        return joined
    if match := _ALLOW.match(said):
        return Allow(host=match[2].lower(), port=int(match[3]))
    if match := _CONNECT.match(said):
        return Connect(code=(match[1] or "").upper(), forge=(match[2] or "").lower())
    return _of_button(said) or _by_itself(said) or reminder_command(said)


def _joined(said: str) -> Join | None:
    if match := _JOIN.match(said):
        return Join(session=(match[1] or match[2]).lower())
    match = _JOIN_LINK.match(said)
    link = thread_links.read(match[1]) if match else None
    return Join(session="", link=link) if link else None


def _of_button(said: str) -> Command | Answer | None:
    if match := _ABOUT_PROMPT.match(said):
        which = int(match[3]) if match[3] else None
        return Command(word=match[1], prompt=UUID(match[2]), number=which)  # type: ignore[arg-type]
    match = _ANSWER.match(said)
    return Answer(question=UUID(match[1]), number=int(match[2])) if match else None


def _by_itself(said: str) -> Runs | Automations | None:
    if match := _RUNS.match(said):
        act, short = (match[1] or match[3] or "list").lower(), (match[2] or match[4] or "").lower()
        return Runs(act=act, short=short, which=(match[5] or "").lower())  # type: ignore[arg-type]
    if match := _AUTOMATIONS.match(said):
        return Automations(act=(match[1] or "list").lower(), name=match[2] or "")  # type: ignore[arg-type]
    return None


def aimed(said: str) -> tuple[int, str] | None:
    """The target of a run that words are for, and the words: `#12 …`, `target 12: …`."""
    match = _TARGET.match(said)
    return None if match is None else (int(match[1]), said[match.end() :])


def _prompt(said: str) -> Parsed:
    how, options, said = read(said)
    if "aside" in how:
        return Aside()
    if not how and options.keys() <= AGAIN_OPTIONS and _command(said) == Command(word="retry"):
        return Command(word="retry", options=options)
    runs = said.startswith("!") and bool(said[1:].strip())
    if not said:
        return Nothing()
    return Prompt(
        text=said[1:].strip() if runs else said,
        kind="command" if runs else "text",
        new="new" in how,
        now="now" in how,
        private=PRIVATE in how,
        options=options,
        resembles=None if runs else _resembles(said),
    )


def _resembles(said: str) -> str | None:
    if found := _LIKE_OPTION.match(said):
        near = get_close_matches(found[1].casefold(), OPTIONS, n=1, cutoff=OPTION_LIKENESS_MIN)
        return f"{near[0]}=" if near else None
    words = said.casefold().rstrip(".!?").split()
    if words and words[0] == "remind":
        return EXAMPLE
    return _resembling(words) if 0 < len(words) <= RESEMBLANCE_WORDS_MAX else None


def _resembling(words: Sequence[str]) -> str | None:
    joined = " ".join(words)
    for command in ALONE:
        if joined != command and words[0] == command.split()[0]:
            return command
    if words[0] == "cancel":
        return "cancel 1"
    if words[0] == "join" and (len(words) == 1 or "://" in words[1]):
        return "join s-…"
    return None
