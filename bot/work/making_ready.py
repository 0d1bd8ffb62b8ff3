"""Tells a session's thread what is done until its machine is ready, one step after the other.

A session never waits for a template. Its machine is booted while one is built, which takes longer:
so the step says how far that build is, and says it again when it has moved on.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.store.database import Database, may_pass
from bot.work.lease import Lease
from bot.work.queue import Event, LeaseLost
from bot.work.usual import usual_seconds
from bot.work.workplace import Tell
from vmpool.registry import Order

log = structlog.get_logger(__name__)

LOOK_SECONDS = 3.0
"""Between two looks at how far the build of a template is."""
BOOTING = frozenset({"creating", "booting"})
"""Steps of a machine that is made without a template."""

_BUILDING = text(
    """
    SELECT step_number, step_count
      FROM template
     WHERE host_id = :host AND project_id = :project AND size = :size AND state = 'building'
       AND step_number > 0
       AND NOT EXISTS (SELECT FROM template AS other
                        WHERE other.host_id = :host AND other.project_id = :project
                          AND other.size = :size AND other.state = 'ready')
    """
)


class MakingReady:
    """The steps of one machine that is made ready for a turn."""

    def __init__(
        self, database: Database, lease: Lease, order: Order, *, host_id: UUID, tell: Tell
    ) -> None:
        """`order` is what the turn asks this host for."""
        self._database = database
        self._lease = lease
        self._order = order
        self._host_id = host_id
        self._tell = tell
        self._telling = asyncio.Lock()
        """What is told again must not come after the step that follows."""
        self._told: dict[str, object] = {}
        self.first: str | None = None
        """The first step; None: there was none, the machine runs."""

    async def step(self, name: str) -> None:
        """Say that it begins."""
        async with self._telling:
            told: dict[str, object] = {"step": name}
            if self.first is None:
                self.first = name
                usual = await usual_seconds(self._database, self._lease.project_id, name)
                told |= {} if usual is None else {"usual_seconds": usual}
            await self._say(told, await self.template() if name in BOOTING else None)

    async def template(self) -> Mapping[str, object] | None:
        """How far the template is without which a machine is booted; None: none is built, or there
        is one already."""
        asked = {
            "host": self._host_id,
            "project": self._order.project_id,
            "size": self._order.size,
        }
        async with self._database.begin() as tx:
            row = (await tx.execute(_BUILDING, asked)).one_or_none()
        return None if row is None else {"step": row.step_number, "of": row.step_count}

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """While inside, a step that tells of a template is told again when that has moved on."""
        looking = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except LeaseLost:
                return
            except Exception as error:
                if not may_pass(error):
                    log.exception("template_not_followed")
                    return

    async def _look(self) -> None:
        async with self._telling:
            if self._told.get("step") in BOOTING:
                template = await self.template()
                if template != self._told.get("template"):
                    await self._say(self._told, template)

    async def _say(self, told: Mapping[str, object], template: Mapping[str, object] | None) -> None:
        body = {name: value for name, value in told.items() if name != "template"}
        body |= {} if template is None else {"template": template}
        await self._tell(Event(kind="step", body=body))
        self._told = body
