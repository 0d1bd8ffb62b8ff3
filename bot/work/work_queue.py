"""A worker's side of the queue: claim, renew, begin, write events, finish, hand back.

Every write but the claim shows the lease's token; see `bot.work.lease`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from bot.store.database import READY, Database
from bot.store.ids import new_id
from bot.store.states import OUTCOMES, SessionState, TurnState
from bot.store.transaction import Transaction
from bot.work.lease import Lease, OpenTurn, StopRequest, boot_seconds
from bot.work.queue import (
    SQL,
    Event,
    LeaseKey,
    LeaseLost,
    append_events,
    append_held,
    hold,
    prompt_text,
    waiting_place,
)


class WorkQueue:
    """The queue as one worker process sees it."""

    def __init__(self, database: Database, *, owner: str, host_id: UUID, lease_seconds: float):
        """`owner` names this process and must be new for each start of it."""
        self.database = database
        self.owner = owner
        self.host_id = host_id
        self.lease_seconds = lease_seconds

    async def claim(self) -> Lease | None:
        """Lease the session that is due first; None when nothing is."""
        before = boot_seconds()
        parameters = {
            "owner": self.owner,
            "host": self.host_id,
            "lease_seconds": self.lease_seconds,
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
        async with self.database.begin() as tx:
            kept = set(
                (
                    await tx.execute(
                        SQL["renew"],
                        {
                            "owner": self.owner,
                            "sessions": [lease.session_id for lease in held],
                            "tokens": [lease.key.token for lease in held],
                            "turns": [lease.clock and lease.clock.turn_id for lease in held],
                            "ran": [lease.clock and lease.clock.ran_seconds for lease in held],
                            "lease_seconds": self.lease_seconds,
                        },
                    )
                ).scalars()
            )
        for lease in held:
            if lease.session_id in kept:
                lease.until = before + self.lease_seconds
            else:
                lease.lost = True

    async def next_due_seconds(self) -> float | None:
        """Seconds until something can be claimed; None when nothing is in sight."""
        parameters = {"host": self.host_id, "owner": self.owner}
        left = (await self.database.run(SQL["next_due"], parameters)).scalar_one()
        return None if left is None else float(left)

    async def stop_request(self, lease: Lease) -> StopRequest | None:
        """What a person asked of the session, if anything. :raises LeaseLost:."""
        async with self.database.begin() as tx:
            return _stop_request((await hold(tx, lease.key))["stop"])

    async def open_turn(self, lease: Lease) -> OpenTurn | None:
        """The turn that an earlier holder left open."""
        async with self.database.begin() as tx:
            row = (await tx.execute(SQL["open_turn"], {"session": lease.session_id})).one_or_none()
            if row is None:
                return None
            said = await prompt_text(tx, row.prompt_id)
        return OpenTurn(
            id=row.id,
            prompt_id=row.prompt_id,
            kind=row.kind,
            text=said,
            machine_id=row.machine_id,
            cursor=row.cursor,
            ran_seconds=row.ran_seconds,
        )

    async def has_prompt(self, lease: Lease) -> bool:
        """Whether a prompt waits; it may still be joined, edited or cancelled."""
        rows = await self.database.run(SQL["first_prompt"], {"session": lease.session_id})
        return rows.first() is not None

    async def begin_turn(self, lease: Lease, machine_id: UUID | None) -> OpenTurn | None:
        """Begin the turn of the first prompt.

        None when a person asked to stop first or no prompt is left. :raises LeaseLost:.
        """
        async with self.database.begin() as tx:
            if (await hold(tx, lease.key))["stop"] is not None:
                return None
            prompt = (
                await tx.execute(SQL["first_prompt"], {"session": lease.session_id})
            ).one_or_none()
            if prompt is None:
                return None
            turn_id = new_id()
            await tx.execute(
                SQL["begin_turn"],
                {
                    "prompt": prompt.id,
                    "turn": turn_id,
                    "session": lease.session_id,
                    "machine": machine_id,
                },
            )
            said = await prompt_text(tx, prompt.id)
            body = {"prompt": prompt.id, "author": prompt.author_id, "text": said}
            started = Event(kind="turn.started", body=body)
            await append_held(tx, lease.key, [started], turn_id=turn_id)
        return OpenTurn(
            id=turn_id,
            prompt_id=prompt.id,
            kind=prompt.kind,
            text=said,
            machine_id=machine_id,
        )

    async def append(
        self,
        lease: Lease,
        events: Sequence[Event],
        *,
        turn_id: UUID | None = None,
        cursor: Mapping[str, Any] | None = None,
    ) -> None:
        """Append events; the turn's cursor moves in the same transaction. :raises LeaseLost:."""
        async with self.database.begin() as tx:
            if events:
                await append_held(tx, lease.key, events, turn_id=turn_id)
            else:
                await hold(tx, lease.key)
            if cursor is not None:
                await tx.execute(
                    SQL["move_cursor"], {"turn": turn_id, "cursor": json.dumps(dict(cursor))}
                )

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
        async with self.database.begin() as tx:
            stop = _stop_request((await hold(tx, lease.key))["stop"])
            ended = (
                await tx.execute(
                    SQL["end_turn"],
                    {
                        "turn": turn.id,
                        "state": state.value,
                        "outcome": json.dumps(dict(outcome), default=str),
                    },
                )
            ).one_or_none()
            if ended is not None:
                last = Event(kind="turn.ended", body={"outcome": state.value, **outcome})
                await append_held(tx, lease.key, [*events, last], turn_id=turn.id)
            return await self._release(tx, lease, stop)

    async def release(self, lease: Lease) -> SessionState:
        """Give the lease back without a turn: stopped before one began. :raises LeaseLost:.

        Nobody is hinted, here and in `finish`: who gives a lease back has room for another and
        looks by itself, or calls `leave` if it will not look any more.
        """
        async with self.database.begin() as tx:
            stop = _stop_request((await hold(tx, lease.key))["stop"])
            return await self._release(tx, lease, stop)

    async def _release(
        self, tx: Transaction, lease: Lease, stop: StopRequest | None
    ) -> SessionState:
        held = stop is not None and stop.hold
        row = (
            await tx.execute(
                SQL["release"],
                {
                    "session": lease.session_id,
                    "hold": held,
                    "held_by": stop.by if stop and held else None,
                },
            )
        ).one()
        lease.lost = True
        return SessionState(row.state)

    async def leave(self) -> None:
        """This worker claims nothing more: let the others look."""
        async with self.database.begin() as tx:
            tx.hint(READY)

    async def hand_back(self, lease: Lease) -> bool:
        """Give the lease back with the turn open; False when it was lost before."""
        async with self.database.begin() as tx:
            row = (
                await tx.execute(
                    SQL["hand_back"],
                    {
                        "session": lease.session_id,
                        "token": lease.key.token,
                        "owner": self.owner,
                    },
                )
            ).one_or_none()
            if row is not None:
                await stop_clock(tx, lease)
                tx.hint(READY, row.host_id or "")
        lease.lost = True
        return row is not None

    async def defer(self, lease: Lease, *, seconds: float, why: str, told: int | None) -> int:
        """Give the lease back until there may be capacity; the session's place in the line, from 1.

        :param why: what is short, for the thread
        :param told: the place that the thread was told last; told again only when it moved
        :raises LeaseLost:
        """
        async with self.database.begin() as tx:
            key = lease.key
            parameters = {"session": key.session_id, "token": key.token, "owner": key.owner}
            row = await tx.execute(SQL["defer"], {**parameters, "seconds": seconds})
            if row.one_or_none() is None:
                raise LeaseLost(f"session {key.session_id}, token {key.token}")
            place = await waiting_place(tx, key.session_id) + 1
            if place != told:
                body = {"step": "waiting", "place": place, "why": why}
                await append_events(tx, key.session_id, [Event(kind="step", body=body)])
        lease.lost = True
        return place


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
