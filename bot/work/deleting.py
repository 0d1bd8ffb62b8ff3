"""Deleting a session: what belongs to it goes, and a tombstone says that it was there.

    asked ─▶ `deleting`: fenced, its threads gone, its machine asked to be destroyed
          ─▶ (a chore of any host, again and again) no machine is left on any host
          ─▶ its entity in Vault; one that can't be reached holds the deletion up
          ─▶ the rows, in one transaction; then the blobs that nobody else refers to
          ─▶ tombstone: id, who, when

Each step is one transaction or can be repeated, so whoever is killed in between is followed by the
next chore; a blob that was left behind is found by the sweep. A machine on a host that does not
come back keeps its session in `deleting`: its snapshot still lies there.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import structlog

from adapters.vault.errors import VaultAway, VaultError
from bot.errors import NotFound, NothingToDo
from bot.govern.audit import HERE, Audited, Source, record
from bot.store.blobs import Blobs
from bot.store.database import CONTROL, MACHINES, Database
from bot.store.ids import new_id
from bot.store.statements import load
from bot.store.states import SessionState
from bot.store.transaction import Rows, Transaction
from bot.words.catalogue import gettext as _
from bot.work.control import Actor
from bot.work.queue import lock_session

log = structlog.get_logger(__name__)

SQL = load(Path(__file__).parent / "sql" / "deleting.sql")


@dataclass(frozen=True, kw_only=True)
class Tombstone:
    """What is left of a session."""

    short: str
    name: str
    """Who deleted it."""
    at: datetime

    def error(self) -> NotFound:
        """What is said to whoever speaks to it."""
        day = f"{self.at:%Y-%m-%d}"
        gone = _(
            "session {session} was deleted by {name} on {day}",
            session=self.short,
            name=self.name,
            day=day,
        )
        return NotFound(
            gone,
            kept=_("nothing was queued"),
            do=_("`new: …` opens another one"),
        )


async def delete(tx: Transaction, session_id: UUID, by: Actor | None) -> None:
    """Begin to delete a session; its turn ends without an outcome, and its threads are let go.

    :param by: None: ona, because its project keeps it no longer
    :raises NothingToDo: it is being deleted already
    :raises NotFound: there is no such session
    """
    session = await lock_session(tx, session_id)
    if session is None:
        raise NotFound(_("this session does not exist"), do=_("`sessions` lists those that do"))
    if session.state is SessionState.DELETING:
        raise NothingToDo(_("it is being deleted already"))
    person, name = (by.id, by.name) if by is not None else (None, HERE.who)
    values = {"id": new_id(), "session": session_id, "by": person, "name": name}
    for step in ("bury", "remember_threads", "remember_posts", "withdraw", "fence", "drop_threads"):
        await tx.execute(SQL[step], values)
    await _ask_machines(tx, session_id)
    log.warning("session_deletion_asked", session=str(session_id), by=name)
    # Whoever runs its turn looks, and finds that the lease is lost.
    tx.hint(CONTROL, session_id)


async def tombstone_of_thread(tx: Transaction, surface: str, place: str) -> Tombstone | None:
    """Of the session that a thread had before it was deleted."""
    return _tombstone(await tx.execute(SQL["of_thread"], {"surface": surface, "place": place}))


async def tombstone_of(tx: Transaction, short: str) -> Tombstone | None:
    """Of the session of that short id."""
    return _tombstone(await tx.execute(SQL["of_short"], {"short": short}))


Forget = Callable[[UUID], Awaitable[None]]
""":raises VaultError: not yet"""


class Deletions:
    """Goes on with every deletion that was begun."""

    def __init__(self, database: Database, blobs: Blobs, forget: Forget | None = None) -> None:
        """`blobs` holds the checkpoints of this host's sessions.

        :param forget: removes what Vault knows of one; None: there is no Vault
        """
        self._forget = forget
        self._database = database
        self._blobs = blobs

    async def go_on(self) -> int:
        """Do what can be done now; how many sessions are gone with that."""
        async with self._database.begin() as tx:
            begun: Sequence[UUID] = list((await tx.execute(SQL["begun"])).scalars())
        return sum([await self._finish(session_id) for session_id in begun])

    async def _finish(self, session_id: UUID) -> bool:
        async with self._database.begin() as tx:
            if await tx.scalar(SQL["take"], {"session": session_id}) is None:
                return False
            if await _ask_machines(tx, session_id):
                return False
        if not await self._forgotten(session_id):
            return False
        async with self._database.begin() as tx:
            if await tx.scalar(SQL["take"], {"session": session_id}) is None:
                return False
            await _audit(tx, session_id)
            blobs = list((await tx.execute(SQL["drop_checkpoints"], _one(session_id))).scalars())
            for step in ("orphan", "drop_events", "drop_session", "drop_machines", "finish"):
                await tx.execute(SQL[step], _one(session_id))
        for blob in blobs:
            try:
                await self._blobs.delete(blob)
            except OSError as error:
                log.warning("blob_left_to_sweep", key=blob, error=str(error))
        log.info("session_deleted", session=str(session_id))
        return True

    async def _forgotten(self, session_id: UUID) -> bool:
        """Whether Vault knows nothing of it any more; what is wrong there for good is no reason."""
        try:
            if self._forget is not None:
                await self._forget(session_id)
        except VaultAway as error:
            log.warning("session_deletion_waits", session=str(session_id), why=str(error))
            return False
        except VaultError as error:
            log.warning("entity_not_removed", session=str(session_id), why=str(error))
        return True


async def _audit(tx: Transaction, session_id: UUID) -> None:
    """Record that it goes: what was sealed of its events can't be looked at any more."""
    row = (await tx.execute(SQL["whose"], _one(session_id))).one()
    await record(
        tx,
        Audited(
            kind="session.deleted",
            by=Source(person_id=row.by_id, who=row.name),
            place=row.short,
            session_id=session_id,
            project_id=row.project_id,
            body={"asked_at": row.at},
        ),
    )


async def _ask_machines(tx: Transaction, session_id: UUID) -> int:
    """Ask the owners of the session's machines to destroy them; how many are left."""
    rows = (await tx.execute(SQL["ask_machines"], _one(session_id))).all()
    for row in rows:
        tx.hint(MACHINES, row.host_id)
    return len(rows)


def _one(session_id: UUID) -> dict[str, UUID]:
    return {"session": session_id}


def _tombstone(rows: Rows) -> Tombstone | None:
    row = rows.first()
    return None if row is None else Tombstone(**row._asdict())
