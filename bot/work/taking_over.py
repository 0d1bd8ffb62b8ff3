"""A session whose machine is on another host: whether it goes on here, and from what.

    claimed ─▶ look: that host, and what this one can read ─▶ decide (pure)
        ├─ BACK     that host is here again: its own workers go on with the session
        ├─ WAIT     what is to be restored can't be read here: told once, tried again later
        └─ LET_GO   under the lease the machine is lost; a new one is filled from the checkpoint

The machine's row stays: a host that comes back finds it lost, and removes what it has of it.
"""

import enum
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from bot.store.database import Database
from bot.store.statements import load
from bot.store.transaction import Transaction
from bot.words.catalogue import Message, in_source
from bot.work import machine_words
from bot.work.checkpoint import Checkpoints
from bot.work.lease import Lease
from bot.work.queue import Event, append_held, hold
from bot.work.workplace import HostAwaited, HostBack

log = structlog.get_logger(__name__)

SQL = load(Path(__file__).parent / "sql" / "taking_over.sql")


class Course(enum.StrEnum):
    """What becomes of a session whose machine is on another host."""

    BACK = "back"
    WAIT = "wait"
    LET_GO = "let_go"


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """What is known of a session on another host."""

    is_given_up: bool
    """The host has been silent for longer than its grace."""
    has_machine: bool
    """There is one that is not lost."""
    is_unwanted: bool
    """An operator asked for its end."""
    is_readable: bool
    """What a new machine would start from can be read here: a checkpoint, or there is none."""


def course(found: Elsewhere) -> Course:
    """What to do; a machine is let go of only if nothing that can be had is lost with it."""
    if not found.is_given_up:
        return Course.BACK
    if found.has_machine and not found.is_unwanted and not found.is_readable:
        return Course.WAIT
    return Course.LET_GO


@dataclass(frozen=True, kw_only=True)
class _Host:
    id: UUID
    name: str
    seen_at: datetime


class TakingOver:
    """Takes over sessions of hosts that are given up."""

    def __init__(self, database: Database, checkpoints: Checkpoints) -> None:
        """`checkpoints` as this host reaches them."""
        self._database = database
        self._checkpoints = checkpoints

    async def take_over(self, lease: Lease, host_id: UUID) -> Message:
        """Let go of what the session has on that other host; why, as a clause.

        :raises HostBack: it is here again; the session is pinned to it
        :raises HostAwaited: nobody else can go on with the session; it was told
        :raises LeaseLost: nothing was changed
        """
        session = {"session": lease.session_id, "host": host_id}
        async with self._database.begin() as tx:
            row = (await tx.execute(SQL["elsewhere"], session)).one()
        host = _Host(id=host_id, name=row.name, seen_at=row.seen_at)
        lost_at = await self._checkpoints.unreadable(lease.session_id) if row.is_given_up else None
        found = Elsewhere(
            is_given_up=row.is_given_up,
            has_machine=row.has_machine,
            is_unwanted=row.is_unwanted,
            is_readable=lost_at is None,
        )
        match course(found):
            case Course.BACK:
                raise await self._give_back(lease, host)
            case Course.WAIT:
                assert lost_at is not None
                raise await self._wait(lease, host, lost_at)
            case Course.LET_GO:
                return await self._let_go(lease, host)

    async def _give_back(self, lease: Lease, host: _Host) -> HostBack:
        async with self._database.begin() as tx:
            await hold(tx, lease.key)
            await _place(tx, lease, host.id)
        log.info("session_given_back", host=host.name)
        return HostBack(host.name)

    async def _wait(self, lease: Lease, host: _Host, lost_at: datetime) -> HostAwaited:
        told = machine_words.awaited(host.name, host.seen_at, lost_at)
        async with self._database.begin() as tx:
            await hold(tx, lease.key)
            known = {"session": lease.session_id, "text": in_source(told)}
            if not await tx.scalar(SQL["told"], known):
                await append_held(tx, lease.key, [Event(kind="notice", body={"text": told})])
        log.error("session_waits_for_host", host=host.name, checkpoint_of=lost_at.isoformat())
        return HostAwaited(told)

    async def _let_go(self, lease: Lease, host: _Host) -> Message:
        why = machine_words.given_up(host.name, host.seen_at)
        async with self._database.begin() as tx:
            await hold(tx, lease.key)
            known: dict[str, Any] = {"session": lease.session_id, "host": host.id}
            if await tx.scalar(SQL["still_given_up"], known) is None:
                raise HostBack(host.name)
            facts = {"host": host.name, "since": host.seen_at.isoformat()}
            lost = {**known, "note": in_source(why), "given_up": json.dumps(facts)}
            machines = (await tx.execute(SQL["lose"], lost)).scalars().all()
            await _place(tx, lease, None)
        log.warning("session_taken_over", host=host.name, machines=[str(one) for one in machines])
        return why


async def _place(tx: Transaction, lease: Lease, host_id: UUID | None) -> None:
    await tx.execute(SQL["place"], {"session": lease.session_id, "host": host_id})
    lease.host_id = host_id
