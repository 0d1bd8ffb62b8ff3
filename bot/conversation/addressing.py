"""Which messages of a chat are for us; pure.

What is addressed to us counts. In a thread that has a session, the words of the one person who
addressed us there count without it as well, until somebody else writes.
"""

import enum
from dataclasses import dataclass
from datetime import datetime

from adapters.chat.incoming import Said


class Hearing(enum.Enum):
    """What is done with a message."""

    TAKE = "take"
    """It is a prompt or a command."""
    REFUSE = "refuse"
    """It is meant for us, by somebody or in a place where we may not answer."""
    OVERHEAR = "overhear"
    """It is not for us, and shows that the thread has more people than one."""
    IGNORE = "ignore"


@dataclass(frozen=True, kw_only=True)
class ThreadFacts:
    """What is known of the thread before the message."""

    has_session: bool = False
    speaker: str = ""
    """Who addressed us here first, as the surface calls them."""
    crowded: bool = False
    """Somebody else has written since."""
    mention_only: bool = False
    """Without a mention nothing in its channel is for us."""
    began: datetime | None = None
    """When it got a session first."""


def decide(said: Said, thread: ThreadFacts) -> Hearing:
    """What to do with a message; who is no member, or writes or reads from outside, gets nothing.

    Bots are never answered: two of us would talk to each other without end.
    """
    if said.author.standing == "bot":
        return Hearing.IGNORE
    for_us = said.to_us or _follows(said, thread)
    barred = said.author.standing != "member" or said.spot.shared or said.spot.foreign
    if for_us and barred:
        return Hearing.REFUSE if said.to_us else Hearing.IGNORE
    if for_us:
        return Hearing.TAKE
    return Hearing.OVERHEAR if thread.has_session and _is_another(said, thread) else Hearing.IGNORE


def crowds(said: Said, thread: ThreadFacts) -> bool:
    """Whether the thread has more than one person from this message on, and had not before."""
    is_new = thread.has_session and not thread.crowded
    wrote = not said.pressed and said.author.standing != "bot"
    return is_new and wrote and _is_another(said, thread) and not _is_from_before(said, thread)


def _follows(said: Said, thread: ThreadFacts) -> bool:
    if (thread.mention_only and not said.spot.direct) or _is_from_before(said, thread):
        return False
    alone = not thread.crowded and not _is_another(said, thread)
    return thread.has_session and bool(thread.speaker) and alone and not said.to_others


def _is_from_before(said: Said, thread: ThreadFacts) -> bool:
    """Whether it was said before the thread had a session: people talked to each other."""
    return said.at is not None and thread.began is not None and said.at < thread.began


def _is_another(said: Said, thread: ThreadFacts) -> bool:
    return bool(thread.speaker) and said.author.id != thread.speaker
