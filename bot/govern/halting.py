"""Halts as rows: made and lifted by operators, read by whatever must stand still.

A change is hinted on CONTROL; who relies on it also reads the rows every POLL_SECONDS, so that a
lost hint costs no more than that.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.errors import NothingToDo, Refused, TryAgain
from bot.govern.access import Standing
from bot.govern.audit import Audited, Source, record
from bot.govern.halt import Halt, Scope, halted
from bot.govern.people import find_person
from bot.govern.projects import get_project
from bot.store.database import CONTROL, READY, Database, Listener, is_away
from bot.store.ids import new_id
from bot.store.transaction import Transaction

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
"""Of a process's own copy of the halts."""
WHY_LENGTH_MAX = 300

_HALTS = text(
    """
    SELECT halt.id, halt.scope, halt.project_id, halt.person_id,
           coalesce(project.name, person.name, '') AS target,
           halt.by_id AS by, by.name, halt.why, halt.at
      FROM halt JOIN person AS by ON by.id = halt.by_id
      LEFT JOIN project ON project.id = halt.project_id
      LEFT JOIN person ON person.id = halt.person_id
     ORDER BY halt.at, halt.id
    """
)
_PUT = text(
    """
    INSERT INTO halt (id, scope, project_id, person_id, by_id, why)
    VALUES (:id, :scope, :project, :person, :by, :why)
    ON CONFLICT (scope, project_id, person_id) DO NOTHING RETURNING id
    """
)
_LIFT = text(
    """
    DELETE FROM halt
     WHERE scope = :scope AND project_id IS NOT DISTINCT FROM CAST(:project AS uuid)
       AND person_id IS NOT DISTINCT FROM CAST(:person AS uuid)
    RETURNING id
    """
)


async def read(tx: Transaction) -> list[Halt]:
    """Every halt, the oldest first."""
    rows = (await tx.execute(_HALTS)).mappings()
    return [Halt(**{**row, "scope": Scope(row["scope"])}) for row in rows]


async def halt(
    tx: Transaction, by: Standing, *, project: str | None, person: str | None, why: str = ""
) -> Halt:
    """Halt a project, a person's work, or everything; workers hear of it when this commits.

    :raises NothingToDo: it is halted already
    :raises NotFound: there is no such project or person
    """
    target = await _target(tx, project, person)
    why = " ".join(why.split())
    if len(why) > WHY_LENGTH_MAX:
        raise Refused(f"a reason has at most {WHY_LENGTH_MAX} characters", do="say it shorter")
    values = {**target, "id": new_id(), "by": by.person_id, "why": why}
    made: UUID | None = await tx.scalar(_PUT, values)
    same = next((one for one in await read(tx) if _is_about(one, target)), None)
    if same is None:
        raise TryAgain("that halt was just undone", kept="nothing is halted", do="halt it again")
    if made is None:
        raise NothingToDo(
            f"it is halted already: {same.told}", do=f"`{same.undone_by}` lets it go on"
        )
    await _note(tx, "halt.set", by, same)
    tx.hint(CONTROL)
    return same


async def lift(
    tx: Transaction, by: Standing, *, project: str | None, person: str | None
) -> tuple[Halt, list[Halt]]:
    """Undo a halt; what waited goes on, unless another halt holds it.

    :return: the one that was lifted, and those that are left
    :raises NothingToDo: nothing of that kind is halted
    :raises NotFound: there is no such project or person
    """
    target = await _target(tx, project, person)
    before = next((one for one in await read(tx) if _is_about(one, target)), None)
    if before is None or await tx.scalar(_LIFT, target) is None:
        what = person or project or "everything"
        raise NothingToDo(
            f"there is no halt of {what}", do="`ona halt --list` shows those there are"
        )
    await _note(tx, "halt.lifted", by, before)
    tx.hint(CONTROL)
    tx.hint(READY)
    return before, await read(tx)


async def _target(
    tx: Transaction, project: str | None, person: str | None
) -> dict[str, UUID | str | None]:
    if project is not None and person is not None:
        raise Refused("either a project or a person is halted", do="halt one after the other")
    if project is not None:
        found = await get_project(tx, project)
        return {"scope": Scope.PROJECT.value, "project": found["id"], "person": None}
    if person is not None:
        who = await find_person(tx, person)
        return {"scope": Scope.PERSON.value, "project": None, "person": who.person_id}
    return {"scope": Scope.ALL.value, "project": None, "person": None}


def _is_about(one: Halt, target: dict[str, UUID | str | None]) -> bool:
    return (one.scope.value, one.project_id, one.person_id) == (
        target["scope"],
        target["project"],
        target["person"],
    )


async def _note(tx: Transaction, what: str, by: Standing, one: Halt) -> None:
    """The one place through which halts are put on record."""
    log.warning(what, scope=one.scope.value, target=one.target, by=by.name, why=one.why)
    body = {"scope": one.scope.value, "person": one.person_id, "why": one.why}
    source = Source.of(by, "")
    await record(
        tx, Audited(kind=what, by=source, place=one.what, project_id=one.project_id, body=body)
    )


class HaltWatch:
    """The halts as a process knows them, at most POLL_SECONDS old; asks nobody to decide.

    For what can't read the database each time it decides, such as a connection of the gateway.
    """

    def __init__(
        self, database: Database, listener: Listener | None = None, *, seconds: float = POLL_SECONDS
    ) -> None:
        """Knows of no halt before `run` has read them once.

        :param listener: brings CONTROL hints; without one it only polls
        """
        self._database = database
        self._listener = listener
        self._seconds = seconds
        self._halts: list[Halt] = []
        self._look = asyncio.Event()
        self._changed: list[Callable[[], None]] = []
        self.read = asyncio.Event()
        """Set once the rows were read."""

    def on_change(self, call: Callable[[], None]) -> None:
        """Call when the halts have become others: connections are looked at again then."""
        self._changed.append(call)

    def halted(self, *, project_id: UUID | None, person_id: UUID | None) -> Halt | None:
        """The halt that applies, as far as is known here."""
        return halted(self._halts, project_id=project_id, person_id=person_id)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep up until `stop`; what was known stays while the database is away."""
        off = self._listener.on(CONTROL, self._hear) if self._listener else None
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._look.clear()
                await self.refresh()
                looking = asyncio.create_task(self._look.wait())
                await asyncio.wait(
                    {looking, stopping},
                    timeout=self._seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                looking.cancel()
        finally:
            stopping.cancel()
            if off is not None:
                off()

    def _hear(self, payload: str) -> None:
        # Stops of single sessions come with the session's id and are none of ours.
        if not payload:
            self._look.set()

    async def refresh(self) -> None:
        """Read the rows now; a database that is away, or has no answer, changes nothing."""
        try:
            async with self._database.begin() as tx:
                found = await read(tx)
        except Exception as error:
            # Whatever it is: who stopped to look would hear of no halt any more.
            log.warning("halts_not_read", error=str(error), away=is_away(error))
            return
        changed, self._halts = found != self._halts, found
        self.read.set()
        if changed:
            for call in self._changed:
                with suppress(Exception):
                    call()
