"""What each machine may reach: its project's policy, looked up by the machine that asks."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from bot.store.database import Database, is_away
from vmpool.network.gateway import Access, Identity, Unreachable
from vmpool.network.gateway.routes import Route
from vmpool.network.policy import Policy

REMEMBERED_SECONDS = 1.0
"""What is denied from now on may be reached for so long; a page opens many connections."""
KNOWN_MAX = 4096
_WHOSE = text(
    """
    SELECT machine.session_id,
           project.id AS project_id, project.repository_url
      FROM machine
      LEFT JOIN session ON session.id = machine.session_id
      LEFT JOIN template ON template.id = machine.template_id
      LEFT JOIN template AS building ON building.machine_id = machine.id
      LEFT JOIN project ON project.id
           = coalesce(session.project_id, template.project_id, building.project_id)
     WHERE machine.id = :machine
     LIMIT 1
    """
)

Policies = Callable[[UUID], Awaitable[Policy]]
"""The policy of a project, the installation's lines before its own."""

RoutesOf = Callable[[UUID, str], Awaitable[tuple[Route, ...]]]
"""The routes of a project whose repository has this address."""


async def no_routes(_project: UUID, _repository_url: str) -> tuple[Route, ...]:
    """The routes of whoever has none."""
    return ()


async def nothing(_project: UUID) -> Policy:
    """The policy of whoever has none: nothing is allowed."""
    return Policy()


@dataclass(frozen=True, kw_only=True)
class _Known:
    access: Access
    at: float


class WaysOut:
    """The gateway's `access`, from the database; it remembers for a moment what it found."""

    def __init__(
        self, database: Database, policies: Policies = nothing, routes: RoutesOf = no_routes
    ) -> None:
        self._database = database
        self._policies = policies
        self._routes = routes
        self._known: dict[UUID, _Known] = {}

    async def access(self, who: Identity) -> Access:
        """What a machine may reach now.

        While the database is away, what is known goes on.

        :raises Unreachable: the database is away, and nothing is known
        """
        known, now = self._known.get(who.machine), time.monotonic()
        if known is not None and now - known.at < REMEMBERED_SECONDS:
            return known.access
        try:
            access = await self._looked_up(who.machine)
        except Exception as error:
            if not is_away(error):
                raise
            if known is not None:
                return known.access
            raise Unreachable("What this machine may reach can't be looked up now.") from error
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[who.machine] = _Known(access=access, at=now)
        return access

    async def _looked_up(self, machine: UUID) -> Access:
        row = (await self._database.run(_WHOSE, {"machine": machine})).one_or_none()
        if row is None or row.project_id is None:
            return Access()
        who = Identity(machine=machine, session=row.session_id, project=row.project_id)
        policy = await self._policies(row.project_id)
        return Access(policy, await self._routes(row.project_id, row.repository_url), who=who)
