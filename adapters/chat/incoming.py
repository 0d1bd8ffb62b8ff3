"""What a chat surface hears, in our words, before anybody has decided what it means.

A surface verifies where it comes from, reads its own markup, asks who the author is, and hands it
to one callback. It acknowledges a delivery when the callback has returned; when it raises, the
delivery is not acknowledged and comes again.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Standing = Literal["member", "guest", "stranger", "bot"]
"""How a surface knows somebody: of the workspace, let in for some channels, of another workspace,
or no person. What can't be found out is a stranger."""

MENTION_ONLY, FOLLOW = "channel mention-only", "channel follow"
"""What a button or a command says: whether people of a channel mention us each time."""


@dataclass(frozen=True, kw_only=True)
class Author:
    """Somebody as the surface knows them."""

    account: str
    """The workspace, which together with `id` is the same person for good."""
    id: str
    name: str
    handle: str = ""
    """What a post names them by to notify them, where that is not the id."""
    standing: Standing = "member"
    zone: str | None = None
    """IANA name of the time zone that the surface knows of them."""
    locale: str | None = None
    """The language in which they use the surface, as `de-DE`, where it tells."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where something was said."""

    surface: str
    channel: str
    """Address of the channel."""
    place: str
    """Address of the thread in which an answer stands, whether it has begun or not."""
    within: str = ""
    """Address of the thread that this one is a part of: they have one session."""
    repository: str = ""
    """URL of the repository whose conversation this is."""
    direct: bool = False
    """Nobody but the author and us reads it."""
    shared: bool = False
    """People of other organisations read it too, or that can't be told."""
    public: bool = False
    """Everybody who comes along reads it."""
    foreign: bool = False
    """It is about code of people who may not write here, and nobody has allowed that."""
    narrow: bool = False
    """Some of those who read the repository do not read this."""
    branch: str = ""
    """The branch of the repository that it is about, where that may be one of a session's."""


@dataclass(frozen=True, kw_only=True)
class Quoted:
    """What somebody said in a thread before: material, nothing that we were asked."""

    key: str
    """As `Said.key`."""
    author: str
    """Their name."""
    at: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file beside a message."""

    key: str
    """Of the message, as `Said.key`."""
    name: str
    media_type: str = ""
    """Found out from its bytes: an image's, or text/plain."""
    data: bytes = b""
    why: str = ""
    """Why it was left out; there is no data then."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message."""

    spot: Spot
    author: Author
    delivery: str
    """Id of this delivery."""
    key: str
    """Id of the message, the same in every delivery of it, unique on the surface."""
    ref: str
    """What the port's `react` calls the message."""
    text: str
    """As people read it; a mention of us is left out where it begins."""
    to_us: bool
    """It mentions us, or could be meant for nobody else."""
    to_others: bool = False
    """It mentions another person, or a group."""
    pressed: bool = False
    """Nobody wrote it in the conversation: it is what a button says, or came with a command."""
    typed: bool = False
    """With `pressed`: its words are somebody's own, by a command or from a menu; none of ours."""
    post: str = ""
    """The post that it is about, as the port calls it: whose button it is, or which it answers
    where the place does not tell that."""
    project: str = ""
    """The name of the project that was picked beside the text."""
    begins: bool = True
    """It may open a session; else it counts only where there is one."""
    at: datetime | None = None
    """When it was said, if that may be long ago: it was missed, or heard and not kept."""
    quoted: tuple[Quoted, ...] = ()
    """What others said in its thread before, in that order and bounded; () where that could not be
    read in time."""
    files: tuple[Attached, ...] = ()
    """Beside it and beside what is quoted, the newest first and bounded."""


@dataclass(frozen=True, kw_only=True)
class Reworded:
    """A message was edited."""

    spot: Spot
    author: Author
    key: str
    text: str
    at: datetime | None = None
    """When, by the surface's clock, where edits may come in another order than they were made."""


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """A message was deleted."""

    spot: Spot
    author: Author | None
    """Who had written it; None: the surface does not say."""
    key: str


@dataclass(frozen=True, kw_only=True)
class Reacted:
    """Somebody reacted to a message with what means: stop."""

    surface: str
    channel: str
    shared: bool
    author: Author
    delivery: str
    ref: str
    """The message, as the port calls it."""


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """The name of a thread was changed, perhaps by us."""

    spot: Spot
    author: Author | None
    """Who did; None: the surface does not say."""
    title: str


@dataclass(frozen=True, kw_only=True)
class Joined:
    """We were added to a channel."""

    spot: Spot
    """Its place is the channel itself."""
    delivery: str


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Somebody looks at the page that the surface keeps of us for them."""

    surface: str
    author: Author


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Somebody pressed a button on that page."""

    surface: str
    author: Author
    says: str


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A check of a commit has come to an end; how is asked for."""

    surface: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A message whose prompt waits: its author may still take it back."""

    key: str
    """As `Said.key`."""
    place: str
    author: Author


WaitingMessages = Callable[[int], Awaitable[Sequence[Waiting]]]
"""So many messages at most whose prompts wait, those that are next first."""

Happening = Literal["pull_request", "push", "issue_labelled", "ci_failed"]


@dataclass(frozen=True, kw_only=True)
class Happened:
    """Something was done in a repository of a forge: material, nothing that we were asked."""

    surface: str
    delivery: str
    key: str
    """Unique in its repository, and the same by whatever way we came to know of it."""
    kind: Happening
    action: str = ""
    """Of a pull request: `opened`, `updated`, `ready`, `approved`, `merged`, `closed`,
    `review_requested`."""
    repository: str
    """Its name on the forge, as that spells it."""
    url: str
    """To clone it from."""
    author: Author | None
    """Who did it; None: nobody who can be told."""
    opened_by: str = ""
    """The login of who opened the pull request or issue."""
    number: int = 0
    """Of the pull request or issue."""
    title: str = ""
    body: str = ""
    """What the pull request or issue says, bounded."""
    branch: str = ""
    """What it happened to, or what the pull request is from; without `refs/heads/`."""
    base: str = ""
    """What the pull request is to be merged into."""
    default_branch: str = ""
    commit: str = ""
    labels: tuple[str, ...] = ()
    draft: bool = False
    detail: str = ""
    """The label, the reviewer who was asked, or what failed."""
    web: str = ""
    """Where people see it."""
    by_us: bool = False
    """We did it, by the forge's account of us."""
    foreign: bool = False
    """As `Spot.foreign`."""
    at: datetime


Heard = (
    Said | Reworded | Withdrawn | Reacted | Renamed | Joined | Opened | Chosen | Checked | Happened
)
Hear = Callable[[Heard], Awaitable[None]]
