"""Listening where only one process of the installation may: whoever holds the lease row does.

A process that can't renew its lease stops listening before another one can begin.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog

from adapters.chat.incoming import Hear
from adapters.listening import Condition, Tell, nobody
from bot.store.database import Database, may_pass
from scheduler.leader import Leader
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

LEAD_SECONDS = 15.0
"""Life of the lease; renewed at a third of it."""
MARGIN_SECONDS = 2.0
"""So long before the lease's end the listener has to be closed."""

Listen = Callable[[Hear, asyncio.Event], Awaitable[None]]


class LeadingListener:
    """Lets one listener of an installation run at a time."""

    def __init__(
        self,
        database: Database,
        listen: Listen,
        *,
        name: str,
        owner: str,
        lead_seconds: float = LEAD_SECONDS,
        tell: Tell = nobody,
    ) -> None:
        """`name` of the surface; `owner` names this process, new for each start of it."""
        self._tell = tell
        self._database = database
        self._listen = listen
        self._leader = Leader(name=f"listen:{name}", owner=owner, seconds=lead_seconds)
        self._seconds = lead_seconds
        self._until = 0.0

    async def run(self, hear: Hear, stop: asyncio.Event) -> None:
        """Listen until `stop`, whenever this process leads."""
        try:
            while not stop.is_set():
                if await self._lead():
                    self._tell(Condition.CONNECTING, "")
                    await self._listen_while_leading(hear, stop)
                if not stop.is_set():
                    self._tell(Condition.WAITING, "another process listens")
                await first_of(stop, seconds_max=self._seconds / 3)
        finally:
            await self._resign()

    async def _listen_while_leading(self, hear: Hear, stop: asyncio.Event) -> None:
        enough = asyncio.Event()
        listening = asyncio.ensure_future(self._listen(hear, enough))
        try:
            while not (stop.is_set() or listening.done()):
                await first_of(stop, seconds_max=self._seconds / 3)
                if not await self._lead() and monotonic() > self._until:
                    log.warning("no_leader_any_more")
                    break
        finally:
            enough.set()
            await listening

    async def _lead(self) -> bool:
        """Take or renew the lease; False: another leads, or the database does not answer."""
        asked = monotonic()
        try:
            async with self._database.begin() as tx:
                token = await self._leader.lead(tx)
        except Exception as error:
            if not may_pass(error):
                raise
            return False
        if token is None:
            self._until = 0.0
            return False
        self._until = asked + self._seconds - MARGIN_SECONDS
        return True

    async def _resign(self) -> None:
        try:
            async with self._database.begin() as tx:
                await self._leader.resign(tx)
        except Exception as error:
            if not may_pass(error):
                raise
