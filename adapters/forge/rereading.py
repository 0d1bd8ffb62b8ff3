"""Looks whether what waits to be run still stands where it was said.

No poll of a forge tells that a comment was deleted, and GitLab tells nobody. So the comments whose
prompts wait, those that are next first, are read one by one, a bounded number in each round; what
they say by then is heard as an edit or a deletion of theirs.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from adapters.chat.incoming import Hear, Reworded, Waiting, WaitingMessages, Withdrawn
from adapters.chat.port import ChatError, Deadline, Throttled
from adapters.listening import pause

log = structlog.get_logger(__name__)

LOOK_SECONDS = 30.0
"""Between two rounds."""
LOOKS_MAX = 20
"""Comments that are read in a round."""
READ_SECONDS = 20.0


class Rereads(Protocol):
    """What can read one message again."""

    async def reread(self, waiting: Waiting, deadline: Deadline) -> Sequence[Reworded | Withdrawn]:
        """What changed since it was heard, or perhaps did. :raises ChatError:"""
        ...

    def forget_but(self, waiting: Sequence[Waiting]) -> None:
        """Forget what is known of all other messages."""
        ...


class Rereading:
    """Reads what waits on one forge again and again."""

    def __init__(
        self, rereads: Rereads, waiting: WaitingMessages, *, every_seconds: float = LOOK_SECONDS
    ) -> None:
        """One of these at a time in an installation is enough; more do no harm."""
        self._rereads = rereads
        self._waiting = waiting
        self._every_seconds = every_seconds

    async def run(self, hear: Hear, stop: asyncio.Event) -> None:
        """Look until `stop`; what fails is tried again in the next round."""
        while not stop.is_set():
            seconds = self._every_seconds
            try:
                await self.once(hear)
            except Throttled as throttled:
                seconds = max(seconds, throttled.retry_seconds)
            except Exception:
                log.exception("waiting_not_reread")
            await pause(stop, seconds)

    async def once(self, hear: Hear) -> None:
        """Look once at what waits. :raises Throttled: the rest has to wait"""
        waiting = await self._waiting(LOOKS_MAX)
        self._rereads.forget_but(waiting)
        for one in waiting:
            try:
                changed = await self._rereads.reread(one, Deadline.after(READ_SECONDS))
            except Throttled:
                raise
            except ChatError as error:
                log.warning("waiting_message_not_reread", key=one.key, why=str(error))
                continue
            for heard in changed:
                await hear(heard)
