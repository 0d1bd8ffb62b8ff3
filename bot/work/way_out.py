"""What each machine may reach: its project's policy, looked up by the machine that asks.

A machine whose work is halted reaches nothing: what it has open is cut when the halt is heard, and
whatever it asks for afterwards is refused until the halt is lifted.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.govern.halt import Halt
from bot.govern.policy import joined
from bot.store.database import Database, may_pass
from bot.work.destinations import Wanted
from vmpool.network.gateway import Access, Gateway, Identity, Refused, Unreachable
from vmpool.network.gateway.routes import Route
from vmpool.network.policy import Policy, allowances

log = structlog.get_logger(__name__)

REMEMBERED_SECONDS = 1.0
"""What is denied from now on may be reached for so long; a page opens many connections."""
KNOWN_MAX = 4096
_WHOSE = text(
    """
    SELECT machine.session_id,
           project.id AS project_id, project.repository_url, last.author_id,
           ARRAY(SELECT url FROM project_repository AS beside
                  WHERE beside.project_id = project.id AND beside.removed_at IS NULL
                  ORDER BY beside.name) AS beside,
           (SELECT coalesce(jsonb_agg(jsonb_build_array(host, port) ORDER BY host, port), '[]')
              FROM destination
             WHERE destination.session_id = session.id AND session.state <> 'deleting'
               AND allowed_at IS NOT NULL) AS allowed
      FROM machine
      LEFT JOIN session ON session.id = machine.session_id
      LEFT JOIN template ON template.id = machine.template_id
      LEFT JOIN template AS building ON building.machine_id = machine.id
      LEFT JOIN project ON project.id
           = coalesce(session.project_id, template.project_id, building.project_id)
      LEFT JOIN LATERAL (
           SELECT prompt.author_id FROM turn JOIN prompt ON prompt.id = turn.prompt_id
            WHERE turn.session_id = machine.session_id
            ORDER BY turn.started_at DESC LIMIT 1
      ) AS last ON true
     WHERE machine.id = :machine
     LIMIT 1
    """
)

Halts = Callable[[UUID | None, UUID | None], Halt | None]
"""By the project and the person for whom a machine worked last: the halt that applies."""

Policies = Callable[[UUID], Awaitable[Policy]]
"""The policy of a project, the installation's lines before its own."""

RoutesOf = Callable[[UUID, Sequence[str]], Awaitable[tuple[Route, ...]]]
"""The routes of a project whose repositories have these addresses, its own one first."""


async def not_wanted(_project: UUID) -> bool:
    """Where nobody is asked about what no policy names."""
    return False


async def no_routes(_project: UUID, _repositories: Sequence[str]) -> tuple[Route, ...]:
    """The routes of whoever has none."""
    return ()


async def nothing(_project: UUID) -> Policy:
    """The policy of whoever has none: nothing is allowed."""
    return Policy()


def no_halts(_project: UUID | None, _person: UUID | None) -> None:
    """Where nothing is ever halted."""


class Halted(Refused):
    """Somebody halted what the machine works for."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    access: Access
    at: float
    project_id: UUID | None = None
    person_id: UUID | None = None
    """Whose turn ran there last."""


class WaysOut:
    """The gateway's `access`, from the database; it remembers for a moment what it found."""

    def __init__(
        self,
        database: Database,
        policies: Policies = nothing,
        routes: RoutesOf = no_routes,
        halts: Halts = no_halts,
        wanted: Wanted = not_wanted,
    ) -> None:
        self._halts = halts
        self._database = database
        self._policies = policies
        self._routes = routes
        self._wanted = wanted
        self._known: dict[UUID, _Known] = {}

    async def access(self, who: Identity) -> Access:
        """What a machine may reach now.

        While the database is away, what is known goes on.

        :raises Halted: what it works for is halted
        :raises Unreachable: the database is away, and nothing is known
        """
        known = await self._whose(who.machine)
        halt = self._halts(known.project_id, known.person_id)
        if halt is None:
            return known.access
        # Somebody else's turn may begin in it at any time.
        self.forget(who.machine)
        raise Halted(f"Nothing can be reached from here now: {halt.told}.")

    def forget(self, machine: UUID) -> None:
        """Look it up anew when it asks next."""
        if machine in self._known:
            self._known[machine] = replace(self._known[machine], at=-math.inf)

    async def _whose(self, machine: UUID) -> _Known:
        known, now = self._known.get(machine), time.monotonic()
        if known is not None and now - known.at < REMEMBERED_SECONDS:
            return known
        try:
            found = await self._looked_up(machine, now)
        except Exception as error:
            if not may_pass(error):
                raise
            if known is not None:
                return known
            raise Unreachable("What this machine may reach can't be looked up now.") from error
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[machine] = found
        return found

    async def _looked_up(self, machine: UUID, now: float) -> _Known:
        row = (await self._database.run(_WHOSE, {"machine": machine})).one_or_none()
        if row is None or row.project_id is None:
            return _Known(access=Access(), at=now)
        who = Identity(machine=machine, session=row.session_id, project=row.project_id)
        policy = await self._policies(row.project_id)
        if row.allowed and await self._wanted(row.project_id):
            policy = joined(policy, allowances(row.allowed, "allowed for this session"))
        repositories = [row.repository_url, *row.beside]
        access = Access(policy, await self._routes(row.project_id, repositories), who=who)
        return _Known(access=access, at=now, project_id=row.project_id, person_id=row.author_id)


class Cutting:
    """Cuts what the machines of a host have open when their work is halted."""

    def __init__(self, ways: WaysOut, gateway: Gateway) -> None:
        self._ways = ways
        self._gateway = gateway
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self) -> None:
        """Halts have changed."""
        task = asyncio.create_task(self._cut())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let what is under way end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cut(self) -> None:
        machines = self._gateway.attached()
        await asyncio.gather(*(self._look_at(one) for one in machines), return_exceptions=True)

    async def _look_at(self, machine: UUID) -> None:
        self._ways.forget(machine)
        try:
            await self._ways.access(Identity(machine=machine))
        except Halted as halt:
            log.info("machine_cut_off", machine=str(machine), why=str(halt))
            self._gateway.cut(machine)
