"""A worker's side of the queue: claim, renew, begin, write events, finish, hand back.

Every write but the claim shows the lease's token; see `bot.work.lease`.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bot.govern import halting
from bot.govern.halt import halted
from bot.store.database import EVENTS, READY, Database
from bot.store.ids import new_id
from bot.store.states import OUTCOMES, SessionState, TurnState
from bot.store.transaction import Transaction
from bot.work import quoting
from bot.work.lease import Due, Lease, OpenTurn, StopRequest, boot_seconds
from bot.work.queue import (
    SQL,
    Event,
    LeaseKey,
    append_events,
    append_held,
    columns,
    must_hold,
    shown,
    waiting_place,
)


@dataclass(frozen=True, kw_only=True)
class Waits:
    """How a session waits for capacity."""

    place: int
    """In the line, from 1."""
    template: Mapping[str, object] | None = None
    """How far the one is that is built meanwhile; None: none is, or it needs none."""


class WorkQueue:
    """The queue as one worker process sees it."""

    def __init__(self, database: Database, *, owner: str, host_id: UUID, lease_seconds: float):
        """`owner` names this process and must be new for each start of it."""
        self.database = database
        self.owner = owner
        self.host_id = host_id
        self.lease_seconds = lease_seconds

    async def claim(self, *, people_only: bool = False) -> Lease | None:
        """Lease the session that is due first; None when nothing is.

        :param people_only: what is left of this worker's slots is kept for people
        """
        before = boot_seconds()
        parameters = {
            "owner": self.owner,
            "host": self.host_id,
            "lease_seconds": self.lease_seconds,
            "people_only": people_only,
        }
        row = (await self.database.run(SQL["claim"], parameters)).one_or_none()
        if row is None:
            return None
        return Lease(
            key=LeaseKey(session_id=row.id, owner=self.owner, token=row.token),
            short=row.short,
            project_id=row.project_id,
            agent=row.agent,
            model=row.model,
            branch=row.branch,
            base_branch=row.base_branch,
            host_id=row.host_id,
            until=before + self.lease_seconds,
            waited_seconds=float(row.waited_seconds or 0),
        )

    async def renew(self, leases: Iterable[Lease]) -> None:
        """Renew what nobody took meanwhile; the others are marked lost."""
        held = [lease for lease in leases if not lease.lost]
        if not held:
            return
        before = boot_seconds()
        parameters = {
            "owner": self.owner,
            "sessions": [lease.session_id for lease in held],
            "tokens": [lease.key.token for lease in held],
            "turns": [lease.clock and lease.clock.turn_id for lease in held],
            "ran": [lease.clock and lease.clock.ran_seconds for lease in held],
            "lease_seconds": self.lease_seconds,
        }
        kept = set((await self.database.run(SQL["renew"], parameters)).scalars())
        for lease in held:
            if lease.session_id in kept:
                lease.until = before + self.lease_seconds
            else:
                lease.lost = True

    async def next_due_seconds(self, *, people_only: bool = False) -> float | None:
        """Seconds until something can be claimed; None when nothing is in sight."""
        parameters = {"host": self.host_id, "owner": self.owner, "people_only": people_only}
        left = (await self.database.run(SQL["next_due"], parameters)).scalar_one()
        return None if left is None else float(left)

    async def look(self, lease: Lease) -> Due:
        """What is to be done under a lease.

        It takes the row as the holder: with that the claim is on the database's disk.

        :raises LeaseLost:
        """
        found = await self.database.run(SQL["look"], shown(lease.key))
        row = must_hold(found, lease.key)._asdict()
        stop, prompt_waits = _stop_request(row.pop("stop")), row.pop("prompt_waits")
        row["quoted"] = quoting.restored(row["quoted"])
        turn = OpenTurn(**row) if row["id"] is not None else None
        return Due(stop=stop, turn=turn, prompt_waits=prompt_waits)

    async def stop_request(self, lease: Lease) -> StopRequest | None:
        """What a person asked of the session, or an operator of more. :raises LeaseLost:."""
        rows = await self.database.run(SQL["asked"], shown(lease.key))
        asked = must_hold(rows, lease.key)
        if asked.stop is not None or not asked.some_halt:
            return _stop_request(asked.stop)
        async with self.database.begin() as tx:
            halts = await halting.read(tx)
        halt = halted(halts, project_id=asked.project_id, person_id=asked.author_id)
        if halt is None:
            return None
        # Its queue needs no hold: nothing of it is handed out before the halt is lifted.
        return StopRequest(by=halt.by, name=halt.name, why=halt.told, hold=False, halt=True)

    async def begin_turn(
        self, lease: Lease, machine_id: UUID | None, *, prompt_id: UUID | None = None
    ) -> OpenTurn | None:
        """Begin the turn of the first prompt, with the agent and the model that the lease has then.

        None when a person asked to stop first or no prompt is left, or when the first is not
        `prompt_id`, where one is given. :raises LeaseLost:.
        """
        turn_id = new_id()
        prompt = await self._step(
            lease,
            "begin_turn",
            {"turn": turn_id, "machine": machine_id, "prompt": prompt_id},
            done=lambda row: row.number or row.prompt_id is None,
        )
        if prompt.prompt_id is None:
            return None
        lease.agent, lease.model = prompt.agent, prompt.model
        return OpenTurn(
            id=turn_id,
            prompt_id=prompt.prompt_id,
            kind=prompt.kind,
            kept_back=prompt.kept_back,
            text=prompt.text,
            machine_id=machine_id,
            quoted=quoting.restored(prompt.quoted),
            files=prompt.files,
        )

    async def append(self, lease: Lease, events: Sequence[Event]) -> None:
        """Append what happened around a turn. :raises LeaseLost:."""
        async with self.database.begin() as tx:
            await append_held(tx, lease.key, events)

    async def record(
        self,
        lease: Lease,
        turn: OpenTurn,
        events: Sequence[Event],
        *,
        batch: int,
        cursor: Mapping[str, Any] | None = None,
    ) -> None:
        """Append what the turn's job did and move its cursor, in one transaction.

        :param batch: its number in the turn, from 1; may be tried again with the same number
        :param cursor: how far the job was read; None leaves it where it is
        :raises LeaseLost: nothing was written
        """
        at = None if cursor is None else json.dumps(dict(cursor))
        written = {"turn": turn.id, "batch": batch, "cursor": at, **columns(events)}
        await self._step(lease, "record", written, done=lambda row: row.known or row.written)

    async def finish(
        self,
        lease: Lease,
        turn: OpenTurn,
        state: TurnState,
        outcome: Mapping[str, Any],
        *,
        events: Sequence[Event] = (),
    ) -> SessionState:
        """Store the turn's outcome and give the lease back; returns the session's state.

        :raises LeaseLost: nothing was written
        """
        if state not in OUTCOMES:
            raise ValueError(f"{state} is no outcome")
        last = Event(kind="turn.ended", body={"outcome": state.value, **outcome})
        return await self._finish(
            lease,
            turn=turn.id,
            state=state.value,
            outcome=json.dumps(dict(outcome), default=str),
            **columns([*events, last]),
        )

    async def release(self, lease: Lease) -> SessionState:
        """Give the lease back without a turn: stopped before one began. :raises LeaseLost:.

        Nobody is hinted, here and in `finish`: who gives a lease back has room for another and
        looks by itself, or calls `leave` if it will not look any more.
        """
        return await self._finish(lease, turn=None, state=None, outcome=None, **columns([]))

    async def _finish(self, lease: Lease, **ending: Any) -> SessionState:
        ran = {"ran": lease.clock.ran_seconds if lease.clock is not None else None}
        released = await self._step(lease, "finish", {**ending, **ran}, done=lambda row: row.state)
        lease.lost = True
        return SessionState(released.state)

    async def _step(
        self, lease: Lease, name: str, values: Mapping[str, Any], *, done: Callable[[Any], object]
    ) -> Any:
        """Run a holder's step until nothing came in between; its row. :raises LeaseLost:."""
        while True:
            rows = await self.database.run(SQL[name], {**shown(lease.key), **values})
            row = must_hold(rows, lease.key)
            if done(row):
                self.database.hint((EVENTS, str(lease.session_id)))
                return row

    async def leave(self) -> None:
        """This worker claims nothing more: let the others look."""
        self.database.hint((READY, ""))

    async def hand_back(self, lease: Lease) -> bool:
        """Give the lease back with the turn open; False when it was lost before."""
        async with self.database.begin() as tx:
            row = (await tx.execute(SQL["hand_back"], shown(lease.key))).one_or_none()
            if row is not None:
                await stop_clock(tx, lease)
                tx.hint(READY, row.host_id or "")
        lease.lost = True
        return row is not None

    async def pause(
        self, lease: Lease, turn: OpenTurn, *, seconds: float, events: Sequence[Event]
    ) -> None:
        """Give the lease back with the turn open, for a while: its machine could not be reached.

        :raises LeaseLost:
        """
        async with self.database.begin() as tx:
            if events:
                await append_held(tx, lease.key, events)
            named = {**shown(lease.key), "turn": turn.id, "seconds": seconds}
            must_hold(await tx.execute(SQL["pause"], named), lease.key)
            await stop_clock(tx, lease)
        lease.lost = True

    async def defer(
        self,
        lease: Lease,
        *,
        seconds: float,
        why: str,
        told: Waits | None,
        template: Mapping[str, object] | None = None,
    ) -> Waits:
        """Give the lease back until there may be capacity; how the session waits now.

        :param why: what is short, for the thread
        :param told: what the thread was told last; told again only when it moved
        :param template: how far the one is that is built meanwhile
        :raises LeaseLost:
        """
        async with self.database.begin() as tx:
            key = lease.key
            deferred = await tx.execute(SQL["defer"], {**shown(key), "seconds": seconds})
            must_hold(deferred, key)
            waits = Waits(place=await waiting_place(tx, key.session_id) + 1, template=template)
            if waits != told:
                body = {"step": "waiting", "place": waits.place, "why": why}
                body |= {} if template is None else {"template": template}
                await append_events(tx, key.session_id, [Event(kind="step", body=body)])
        lease.lost = True
        return waits

    async def put_off(self, lease: Lease, *, seconds: float) -> None:
        """Give the lease back for a while, without a word. :raises LeaseLost:"""
        async with self.database.begin() as tx:
            deferred = await tx.execute(SQL["defer"], {**shown(lease.key), "seconds": seconds})
            must_hold(deferred, lease.key)
        lease.lost = True


async def stop_clock(tx: Transaction, lease: Lease) -> None:
    """Note how long the turn under this lease ran, in the transaction that gives it back."""
    if lease.clock is not None:
        ran = {"turn": lease.clock.turn_id, "ran": lease.clock.ran_seconds}
        await tx.execute(SQL["clock"], ran)


def _stop_request(value: Mapping[str, Any] | None) -> StopRequest | None:
    if value is None:
        return None
    return StopRequest(
        by=UUID(value["by"]), name=value["name"], why=value["why"], hold=value["hold"]
    )
