"""The rows of checkpoints: the newest of a session counts, a few older ones stay in case."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from bot.store.database import Database
from bot.store.statements import load
from bot.store.transaction import Transaction
from bot.work.queue import LeaseKey, hold
from bot.work.undo import said

SQL = load(Path(__file__).parent / "sql" / "checkpoint.sql")


@dataclass(frozen=True, kw_only=True)
class StoredCheckpoint:
    """A checkpoint, without what it holds."""

    id: UUID
    session_id: UUID
    repository_id: UUID | None
    """None: of the project's own repository."""
    base: str
    """The commit that a clone needs before it; empty: whatever the branch is at."""
    head: str
    tree: str
    size: int
    blob: str | None
    """None: it is in the row itself."""
    left_out: list[str]
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class NewCheckpoint:
    """A checkpoint that is about to be stored."""

    id: UUID
    turn_id: UUID
    repository_id: UUID | None
    base: str
    head: str
    tree: str
    size: int
    left_out: list[str]
    inline: bytes | None = None
    blob: str | None = None


@dataclass(frozen=True, kw_only=True)
class Since:
    """Which turn left what a checkpoint holds."""

    text: str
    """Of its prompt, shortened."""
    later: int
    """Turns that worked after it."""


class CheckpointRows:
    """The table of checkpoints."""

    def __init__(self, database: Database) -> None:
        """Each method is one transaction."""
        self._database = database

    async def newest(
        self, session_id: UUID, count: int, repository_id: UUID | None = None
    ) -> list[StoredCheckpoint]:
        """The newest ones of one of a session's repositories, the newest first."""
        asked = {"session": session_id, "count": count, "repository": repository_id}
        async with self._database.begin() as tx:
            rows = await tx.execute(SQL["newest"], asked)
        return [StoredCheckpoint(**row) for row in rows.mappings()]

    async def newest_of_each(self, session_id: UUID) -> list[StoredCheckpoint]:
        """The newest one of each of a session's repositories, the project's own first."""
        async with self._database.begin() as tx:
            rows = await tx.execute(SQL["newest_of_each"], {"session": session_id})
        return [StoredCheckpoint(**row) for row in rows.mappings()]

    async def since(self, checkpoint: StoredCheckpoint) -> Since | None:
        """Whose turn left what it holds; None: none of its session did."""
        known = {"session": checkpoint.session_id, "checkpoint": checkpoint.id}
        async with self._database.begin() as tx:
            row = (await tx.execute(SQL["since"], known)).one_or_none()
        if row is None:
            return None
        return Since(text=said(row.kind, row.text), later=row.later)

    async def inline(self, checkpoint_id: UUID) -> bytes | None:
        """What a small one holds; None when its row is gone."""
        async with self._database.begin() as tx:
            data = await tx.scalar(SQL["inline"], {"checkpoint": checkpoint_id})
        return None if data is None else bytes(data)

    async def store(
        self, key: LeaseKey, new: NewCheckpoint, *, kept_max: int, undo_turns_max: int
    ) -> list[str]:
        """Store it as the holder of the lease and remove the oldest; returns their blobs.

        Idempotent by its id. :raises LeaseLost: nothing was stored
        :param undo_turns_max: last turns of which it is kept what was before them
        """
        row = {
            **vars(new),
            "session": key.session_id,
            "left_out": json.dumps(new.left_out),
        }
        async with self._database.begin() as tx:
            await hold(tx, key)
            await tx.execute(SQL["store"], row)
            await _ended_as(tx, new.turn_id, new.repository_id, new.id)
            kept = {
                "session": key.session_id,
                "repository": new.repository_id,
                "kept": kept_max,
                "turns": undo_turns_max + 1,
            }
            return [blob for blob in (await tx.execute(SQL["forget"], kept)).scalars() if blob]

    async def same(
        self, key: LeaseKey, turn_id: UUID, checkpoint_id: UUID, repository_id: UUID | None
    ) -> None:
        """Note as the holder of the lease that a turn left what is kept already.

        :raises LeaseLost: nothing was noted
        """
        async with self._database.begin() as tx:
            await hold(tx, key)
            await _ended_as(tx, turn_id, repository_id, checkpoint_id)

    async def exists(self, checkpoint_id: UUID) -> bool:
        """Whether it is stored."""
        async with self._database.begin() as tx:
            return bool(await tx.scalar(SQL["exists"], {"checkpoint": checkpoint_id}))

    async def referred(self, blobs: Sequence[str]) -> set[str]:
        """Which of these blobs are in use."""
        async with self._database.begin() as tx:
            return set((await tx.execute(SQL["referred"], {"keys": list(blobs)})).scalars())


async def _ended_as(
    tx: Transaction, turn_id: UUID, repository_id: UUID | None, checkpoint_id: UUID
) -> None:
    values = {"turn": turn_id, "checkpoint": checkpoint_id}
    if repository_id is None:
        await tx.execute(SQL["ended_as"], values)
    else:
        await tx.execute(SQL["ended_beside_as"], {**values, "repository": repository_id})
