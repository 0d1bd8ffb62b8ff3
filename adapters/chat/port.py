"""The chat port: how a reply gets to a thread of a surface, once.

    post ──▶ ref ──▶ edit … edit
      │
      └─ Uncertain: was it posted? ──▶ what `Limits.after_uncertain` says, by the reply's mark

The mark is ours: one a reply, the same in every attempt. A surface keeps it with the post where
people don't see it (metadata, a nonce, a hidden comment), so that `find` tells what became of an
attempt that nobody saw the end of.
"""

import enum
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from adapters.chat.dialect import Dialect

Method = Literal["post", "edit", "find", "react", "title", "phase"]
"""What tokens are counted for."""


class ChatError(Exception):
    """Base of what a surface can answer instead of doing it."""


class Throttled(ChatError):
    """The surface did nothing and names the time after which to come back."""

    def __init__(self, retry_seconds: float) -> None:
        super().__init__(f"throttled for {retry_seconds:g} s")
        self.retry_seconds = retry_seconds


class Unavailable(ChatError):
    """The surface certainly did nothing: the request was never sent, or it was turned away."""


class Uncertain(ChatError):
    """It may have been done: the answer did not come, or said nothing about it."""


class Gone(ChatError):
    """The thread, or the post to be edited, does not exist any more."""


class Rejected(ChatError):
    """The surface refuses this for good; trying it again cannot help."""


class AfterUncertain(enum.Enum):
    """How a surface keeps a reply from being posted twice."""

    LOOK_UP = "look up"
    """`find` sees every post of the past hour at least: look, then post."""
    POST_AGAIN = "post again"
    """A post with a known mark is the same post, for `Limits.again_seconds` at least."""
    GIVE_UP = "give up"
    """Neither: such a reply is posted at most once, and lost when it is uncertain."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A surface's published limit of one method: so many at once, then so many a second."""

    burst: float
    per_second: float


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a surface bears."""

    text_length_max: int
    """Characters of one post, after `escape`."""
    after_uncertain: AfterUncertain
    again_seconds: float = math.inf
    """With POST_AGAIN: how long after its first attempt a post may be tried again; then it is
    given up."""
    rates: Mapping[Method, Rate] = field(default_factory=dict)
    """Per installation; a method that is not named is not limited."""
    live: Literal["post", "aside", "none"] = "post"
    """Where it stands what a running turn does: in a post that is edited; beside the conversation,
    as `Content.live` says; nowhere, because the reader follows the events."""
    edit_seconds: float = 0.0
    """At least so long between two edits of a post."""
    old_seconds: float | None = None
    """From this age on a post is an old one; None: it never is."""
    old_edit_seconds: float = 0.0
    """At least so long between two edits of an old post."""
    working_seconds: float = math.inf
    """So often `Phase.WORKING` has to be shown again, lest the surface takes it back."""
    knows_zones: bool = True
    """Whether it tells in which time zone people are, or nobody there is asked for it."""
    aside: str = ""
    """With `live` "aside": what stands there, as the surface calls it."""


class Sign(enum.Enum):
    """What our one reaction to somebody's message says."""

    SEEN = "seen"
    """It waits in the queue."""
    WAITING = "waiting"
    """Its turn waits for a person."""
    FAILED = "failed"
    """Its turn failed."""
    REFUSED = "refused"
    """Whoever wrote it may not ask us."""


@dataclass(frozen=True, kw_only=True)
class Button:
    """Something to press below a post: pressing it says `says` in the thread, or opens `url`."""

    label: str
    """At most LABEL_LENGTH_MAX characters."""
    says: str = ""
    url: str = ""
    picks: bool = False
    """Whoever presses it chooses a moment, whose words take the place of MOMENT in `says`; left
    out where a surface has no form for that."""


LABEL_LENGTH_MAX = 75
MOMENT = "{at}"


class Live(enum.Enum):
    """How far the turn is that a post tells about."""

    RUNNING = "running"
    DONE = "done"
    """It came to the end it was meant to."""
    ENDED = "ended"
    """It ended otherwise."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture beside a post."""

    data: bytes = field(repr=False)
    media_type: str
    """PNG, JPEG, GIF or WebP, as its bytes say."""
    about: str
    """What it shows, for those who don't see it; plain text."""

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"picture.{self.media_type.rpartition('/')[2]}"


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text file beside a post."""

    name: str
    """Without anything that means something to a surface: letters, digits, dots and dashes."""
    data: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a post shows."""

    text: str
    """Escaped for the surface, but for the fences of blocks."""
    buttons: tuple[Button, ...] = ()
    """Left out by a surface that has none."""
    notify: str = ""
    """The surface's ids of the people who are to be told of the post, with commas between; edits
    tell nobody."""
    live: Live | None = None
    """It is the state of a turn; None: it is something said."""
    language: str = ""
    """The locale of the text, for what the surface itself says beside it; empty: not known."""
    title: str = ""
    """What its thread is called, should the post begin one."""
    picture: Picture | None = None
    """Left out by a surface that shows none, or that did not take it. Of a post that is never
    edited: some surfaces lose it by that."""
    document: Document | None = None
    """The same."""


def notified(content: Content) -> list[str]:
    """The ids of the people who are to be told of a post."""
    return [one for one in content.notify.split(",") if one]


@dataclass(frozen=True)
class Deadline:
    """A moment on CLOCK_BOOTTIME, which goes on while the process or the host sleeps."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The moment `seconds` from now."""
        return cls(time.clock_gettime(time.CLOCK_BOOTTIME) + seconds)

    @property
    def left_seconds(self) -> float:
        """Time left; not positive once it has passed."""
        return self.at - time.clock_gettime(time.CLOCK_BOOTTIME)


class ChatPort(Protocol):
    """One surface with all its installations.

    Every method that takes a deadline ends before it and sends nothing after it: it looks at
    `left_seconds` right before it writes to the network, because the process may have been
    stopped since it was called. After the deadline somebody else looks the mark up, posts if need
    be, and would double what comes late.

    :raises Throttled: by each of them; nothing was done
    :raises Unavailable: nothing was done
    :raises Uncertain: it may have been done
    :raises Gone: the thread or the post is deleted
    :raises Rejected: refused for good
    """

    limits: Limits

    @property
    def dialect(self) -> Dialect | None:
        """How it writes what is emphasised; None: not at all."""
        ...

    def installation(self, place: str) -> str:
        """The account whose budget a post in `place` uses up."""
        ...

    def escape(self, text: str, *, code: bool) -> str:
        """Make `text` show as it is: no markup, no link, no mention of anybody; pure.

        Never shorter than half and never longer than ten times its input, line ends are kept,
        and escaping a part of a text gives a part of its escaped form.

        :param code: it stands between two lines of three backticks, which it must not end
        """
        ...

    async def post(self, place: str, content: Content, mark: str, deadline: Deadline) -> str:
        """Post `content` in `place` and return its ref. Not idempotent but for POST_AGAIN."""
        ...

    async def edit(self, place: str, ref: str, content: Content, deadline: Deadline) -> None:
        """Let the post show `content`. Idempotent; the last call wins."""
        ...

    async def find(self, place: str, mark: str, deadline: Deadline) -> str | None:
        """The ref of the post with this mark; None: there certainly is none. Idempotent.

        Only called where `limits.after_uncertain` is LOOK_UP.
        """
        ...


@runtime_checkable
class ShowsPictures(Protocol):
    """A surface whose posts can have a picture beside them."""

    shows_pictures: Literal[True]


@runtime_checkable
class ShowsDocuments(Protocol):
    """A surface whose posts can have a text file beside them."""

    shows_documents: Literal[True]


@runtime_checkable
class ShowsMoments(Protocol):
    """A surface that shows `2026-01-31 12:30 UTC` in the zone of each of its readers."""

    shows_moments: Literal[True]


@runtime_checkable
class Reacts(Protocol):
    """A surface on which messages bear reactions. Errors are those of `ChatPort`."""

    async def react(self, place: str, ref: str, sign: Sign | None, deadline: Deadline) -> None:
        """Let `sign` be our only reaction to the message `ref`; None: none. Idempotent."""
        ...


@runtime_checkable
class HasTitles(Protocol):
    """A surface whose threads have names. Errors are those of `ChatPort`."""

    async def retitle(self, place: str, title: str, deadline: Deadline) -> None:
        """Let the thread be called `title`, where it is ours to name; idempotent.

        A thread that has no name, or somebody else's, stays as it is.

        :param title: shown as it is, on one line, at most 100 characters
        """
        ...


class Phase(enum.Enum):
    """What we do in a thread, for a surface that has its own way to show it."""

    WORKING = "working"
    """A turn runs."""
    WAITING = "waiting"
    """It waits for a person."""
    IDLE = "idle"
    CLOSED = "closed"
    """Its session was deleted; another one may begin there."""


@runtime_checkable
class ShowsPhases(Protocol):
    """A surface that shows what we do in a thread. Errors are those of `ChatPort`."""

    async def show_phase(self, place: str, phase: Phase, title: str, deadline: Deadline) -> None:
        """Let the thread show `phase`, where it can; idempotent.

        :param title: what the thread is called, if this is the first that is shown in it
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Menu:
    """Something to choose of more than buttons can be: whoever types is shown what fits."""

    name: str
    """What is chosen; choosing `x` says `name x`, and by it the surface asks what fits."""
    label: str
    """At most LABEL_LENGTH_MAX characters."""


Suggest = Callable[[str, str], Sequence[str]]
"""What fits, by a menu's name and what was typed so far; pure and at once."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of a page."""

    text: str
    """Shown as it is: the surface escapes it."""
    url: str = ""
    """Where it leads, if anywhere."""
    label: str = "Open"
    """Of what leads there."""
    buttons: tuple[Button, ...] = ()
    """Below it; pressing one is heard as `adapters.chat.incoming.Chosen`."""
    menu: Menu | None = None
    """Beside them, heard likewise."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some lines of a page with a title."""

    title: str
    entries: tuple[Entry, ...]


@runtime_checkable
class HasHome(Protocol):
    """A surface that keeps a page of ours for each person. Errors are those of `ChatPort`."""

    async def show_home(self, person: str, parts: Sequence[Part], deadline: Deadline) -> None:
        """Let the page of the person with the surface's id `person` show `parts`. Idempotent."""
        ...


@runtime_checkable
class Confides(Protocol):
    """A surface that has conversations with one person alone, which stay. Errors as above."""

    async def confide(self, place: str, person: str, deadline: Deadline) -> str:
        """The place of ours with the person whose id is `person`, seen in `place`; idempotent.

        What stands in it behind a `~` tells threads of ours apart, and nothing to the surface.

        :raises Rejected: they let nobody write to them
        """
        ...


@runtime_checkable
class FindsChannels(Protocol):
    """A surface whose channels have names. Errors are those of `ChatPort`."""

    async def channel_of(self, near: str, person: str, name: str, deadline: Deadline) -> str | None:
        """Address of the channel of that name or id; None: there is none that the person is in.

        :param near: address of a channel of the same workspace; empty: of any that is ours
        """
        ...


@runtime_checkable
class KnowsMembers(Protocol):
    """A surface that tells who may read a channel. Errors are those of `ChatPort`."""

    async def is_member(self, channel: str, person: str, deadline: Deadline) -> bool:
        """Whether the person with the surface's id `person` is in the channel of that address.

        :raises Gone: the channel is not there, or not for us
        """
        ...


@runtime_checkable
class Whispers(Protocol):
    """A surface that can show words to one person alone, where they vanish: for hints only."""

    async def whisper(
        self, place: str, person: str, text: str, buttons: Sequence[Button] = ()
    ) -> None:
        """Show `text` to the person with the surface's id `person`; escapes it itself.

        At most once, and perhaps never: what goes wrong is logged and dropped.
        """
        ...


@runtime_checkable
class WhispersElsewhere(Protocol):
    """A surface that shows such words in another place than they are about."""

    whispers_elsewhere: Literal[True]
