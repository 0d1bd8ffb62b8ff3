"""What every surface turns its messages into, and what it is told back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from adapters.chat.incoming import Attached, Quoted
from bot.errors import TellPerson, for_person
from bot.words.catalogue import SOURCE

KEY_LENGTH_MAX = 200
"""Of what identifies a delivery or a message; what is longer is known by its digest."""

Verdict = Literal["prompt", "joined", "answer", "command", "refused"]


@dataclass(frozen=True, kw_only=True)
class IncomingMessage:
    """One message of one person, as a surface delivered it."""

    surface: str
    """`terminal`, `web`, `api`, and later the names of chat surfaces and forges."""
    delivery_key: str
    """Id of this delivery, or the caller's idempotency key; at most 200 characters."""
    message_key: str
    """Id of the message itself, the same in every delivery of it; at most 200 characters."""
    place: str
    """Address of the thread on the surface."""
    person_id: UUID
    text: str
    session: str | None = None
    """Short id of a session the surface already knows; else the thread decides."""
    project: str | None = None
    """Name of the project for a new session; else the only one, else a refusal that lists them."""
    beside: str = ""
    """Address of the thread whose session a private one begins from; only `place` is its own."""
    new: bool = False
    """Open a new session even though the thread has one."""
    channel: str = ""
    """Address of the channel that the thread is in, where there is one."""
    within: str = ""
    """Address of the thread that this one is a part of: it has that one's session."""
    repository: str = ""
    """URL of the repository whose conversation this is: its project is meant."""
    checkout: tuple[str, ...] = ()
    """Addresses of the repository in whose checkout it was said: its project is meant, unless
    another one is named or linked to."""
    narrow: bool = False
    """Some of those who read that repository do not read this conversation."""
    branch: str = ""
    """The branch that this is about: if a session works on it and the thread has none, it is
    that one's."""
    begins: bool = True
    """It may open a session."""
    meant: Mapping[str, str] = field(default_factory=dict)
    """Addresses by what a command of the text names: `#team`, a channel that its author is in;
    `@ben`, our conversation with somebody who does not read here."""
    alone: bool = True
    """Nobody but its author reads along: what is private to them may be said and shown there."""
    asker: str = ""
    """The person as the surface calls them, where it can notify somebody."""
    language: str = SOURCE
    """The shipped locale in which they are answered."""
    ref: str = ""
    """The message as the surface calls it, where it bears our reactions."""
    told_in_thread: bool = False
    """What the person is told about a command stands in the thread as a reply of its own."""
    quoted: tuple[Quoted, ...] = ()
    """What was said in the thread since the last prompt, for the agent to read beside `text`."""
    files: tuple[Attached, ...] = ()
    """Beside it and beside what is quoted."""
    read_only: bool = False
    """Its turn changes nothing outside of its machine; it asks for no more than to read."""

    @property
    def whispers(self) -> bool:
        """Its author alone is told what they see of other places: others read along."""
        return self.told_in_thread and not (self.alone or self.repository)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a message was refused, in the parts of the error that it was."""

    happened: str
    kept: str
    do: str
    code: str

    @classmethod
    def of(cls, error: TellPerson) -> "Refusal":
        """The parts of `error`."""
        return cls(happened=error.happened, kept=error.kept, do=error.do, code=error.code)

    def error(self) -> TellPerson:
        """The error again, to be raised where a surface answers with its class."""
        return for_person(self.code, self.happened, kept=self.kept, do=self.do)


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What became of a message; the same again when it is delivered again."""

    verdict: Verdict
    text: str
    """One or a few sentences for the person: what happened, what was kept, what to do."""
    session_id: UUID | None = None
    session: str | None = None
    """Short id, to be shown."""
    prompt_id: UUID | None = None
    event: int = 0
    """Number of the event that announced it: read on from here."""
    hint: str = ""
    """What the author alone still has to hear where the thread shows what became of the message."""
    duplicate: bool = False
    refusal: Refusal | None = None
    """With the verdict `refused`."""
