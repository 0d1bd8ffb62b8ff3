"""What the database knows of turns that can be, or were, taken back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from bot.store.database import Database
from bot.store.ids import new_id
from bot.store.statements import load
from bot.store.states import TurnState
from bot.store.transaction import Transaction
from bot.work.checkpoint_rows import StoredCheckpoint
from bot.work.lease import OpenTurn
from bot.work.queue import Event, LeaseKey, append_held, hold
from bot.work.undo import Back, PastTurn

SQL = load(Path(__file__).parent / "sql" / "undo.sql")

TURNS_MAX = 200
"""That are looked at; far fewer are kept."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asked for it."""

    id: UUID
    name: str


async def past(
    tx: Transaction, session_id: UUID, repository_id: UUID | None = None
) -> list[PastTurn]:
    """The turns of a session that have ended, the newest first.

    :param repository_id: whose checkpoints they tell; None: those of the project's own repository
    """
    asked = {"session": session_id, "count": TURNS_MAX, "repository": repository_id}
    rows = (await tx.execute(SQL["turns"], asked)).mappings()
    return [PastTurn(**{**row, "state": TurnState(row["state"])}) for row in rows]


async def taken_back(tx: Transaction, turn_id: UUID) -> Sequence[str]:
    """The prompts that were taken back since the last turn before this one, the newest first."""
    rows = await tx.execute(SQL["taken_back"], {"turn": turn_id})
    return [str(said) for said in rows.scalars()]


class UndoRows:
    """The rows, as the holder of a session's lease needs them; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def past(self, session_id: UUID, repository_id: UUID | None = None) -> list[PastTurn]:
        """See `past` of this module."""
        async with self._database.begin() as tx:
            return await past(tx, session_id, repository_id)

    async def is_done(self, turn: OpenTurn) -> bool:
        """Whether the turn took another one back already: only its outcome is missing."""
        async with self._database.begin() as tx:
            return bool(await tx.scalar(SQL["done"], {"turn": turn.id}))

    async def asker(self, turn: OpenTurn) -> Asker:
        """Who asked for the turn."""
        row = (await self._database.run(SQL["asker"], {"turn": turn.id})).one()
        return Asker(id=row.id, name=row.name)

    async def goal(
        self, session_id: UUID, checkpoint_id: UUID | None, repository_id: UUID | None = None
    ) -> StoredCheckpoint | None:
        """The checkpoint to go back to; None: it is not kept, or there was none at the beginning.

        :param checkpoint_id: None: how the session began
        """
        asked: dict[str, object] = {"session": session_id}
        name = "beginning" if checkpoint_id is None else "checkpoint"
        asked |= (
            {"repository": repository_id}
            if checkpoint_id is None
            else {"checkpoint": checkpoint_id}
        )
        async with self._database.begin() as tx:
            row = (await tx.execute(SQL[name], asked)).mappings().one_or_none()
        return None if row is None else StoredCheckpoint(**row)

    async def base(self, session_id: UUID, repository_id: UUID | None = None) -> str:
        """The commit that a repository was cloned at; empty: no checkpoint knows it."""
        asked = {"session": session_id, "repository": repository_id}
        async with self._database.begin() as tx:
            return str(await tx.scalar(SQL["base"], asked) or "")

    async def apply(
        self,
        key: LeaseKey,
        turn: OpenTurn,
        back: Back,
        goals: Sequence[StoredCheckpoint],
        event: Event,
    ) -> None:
        """Note that a turn is taken back, and say so, as the holder of the lease.

        :param goals: the checkpoints that it went back to; from now on they are the newest again
        :raises LeaseLost: nothing was noted
        """
        async with self._database.begin() as tx:
            await hold(tx, key)
            await tx.execute(SQL["undo"], {"turn": back.turn.id, "by": turn.id})
            for goal in goals:
                again = {"id": new_id(), "turn": turn.id, "checkpoint": goal.id}
                await tx.execute(SQL["again"], again)
            await append_held(tx, key, [event], turn_id=turn.id)
