"""The rows of machines and hosts: short transactions, each move checked by the table of moves."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NoReturn
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import case, cast, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import col

from vmpool.begin import COLUMNS, Begin, at_once, machines, rows
from vmpool.driver import MachineSpec
from vmpool.machine import (
    MACHINE_MOVES,
    Host,
    Machine,
    MachineState,
    Template,
    TemplateState,
)
from vmpool.silence import BREAK_SECONDS, Heard, given_up
from vmpool.storable import sentence

ALIVE = [
    state.value
    for state in MachineState
    if state not in {MachineState.LOST, MachineState.REMOVING, MachineState.GONE}
]


_OF_SESSION = f"""
SELECT {COLUMNS} FROM machine
 WHERE host_id = %(host)s AND session_id = %(session)s AND state = ANY(%(states)s)
"""
_ONE = f"SELECT {COLUMNS} FROM machine WHERE id = %(id)s"
_MINE = f"SELECT {COLUMNS} FROM machine WHERE host_id = %(host)s AND state = ANY(%(states)s)"
_STANDING = """
SELECT id, state, used_at, memory_mib, template_id,
       session_id IS NULL AND template_id IS NOT NULL AS waits,
       coalesce(CAST(facts -> 'yields' AS boolean), false) AS yields,
       CAST(facts -> 'private_mib' AS integer) AS private_mib
  FROM machine WHERE host_id = %(host)s AND state = ANY(%(states)s)
"""
_MOVE = f"""
UPDATE machine
   SET state = %(to)s, changed_at = %(now)s, note = coalesce(%(note)s::text, note),
       facts = (facts - %(forgotten)s::text[]) || %(known)s::jsonb,
       generation = generation + %(taken)s
                  - CASE WHEN %(given_back)s AND state = 'starting' THEN 1 ELSE 0 END
 WHERE host_id = %(host)s AND id = %(id)s AND state = ANY(%(sources)s)
RETURNING {COLUMNS}
"""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What machine is asked for."""

    project_id: UUID
    """Whose templates it may be made of; opaque here."""
    size: str
    """Name of `spec`'s numbers."""
    spec: MachineSpec
    insist: bool = False
    """Somebody asked for this size: a machine of another one is replaced."""
    yields: bool = False
    """It is an automation's: some of the host's machines are left for people."""


class IllegalMove(Exception):
    """A move that the table of moves does not know; always a bug of ours."""


class Registry:
    """The machines of one host, as rows."""

    def __init__(self, begin: Begin, host_id: UUID, new_id: Callable[[], UUID]) -> None:
        """`host_id` is the host whose machines these are."""
        self._begin = at_once(begin)
        self.host_id = host_id
        self._new_id = new_id
        self._ours = col(Machine.host_id) == host_id
        """Only the owner of a machine's directory moves its row."""

    async def report_host(self, *, driver: str, accelerator: str, boot_id: str) -> None:
        """Say that this host is here, by the database's clock: others wait for it by that."""
        now = func.clock_timestamp()
        values = {
            "name": platform.node(),
            "driver": driver,
            "accelerator": accelerator,
            "boot_id": boot_id,
            "seen_at": now,
            "given_up_at": None,
        }
        unbroken = col(Host.seen_at) >= now - timedelta(seconds=BREAK_SECONDS)
        again = {**values, "heard_since": case((unbroken, col(Host.heard_since)), else_=now)}
        statement = insert(Host).values(id=self.host_id, heard_since=now, **values)
        async with self._begin() as tx:
            await tx.execute(statement.on_conflict_do_update(index_elements=["id"], set_=again))

    async def give_up_silent(self, grace_seconds: float) -> Sequence[Host]:
        """Wait no more for hosts that have been silent for longer than that; which ones, new."""
        async with self._begin() as tx:
            rows = (await tx.execute(select(Host, func.clock_timestamp()))).all()
        if not rows:
            return []
        hosts, now = [host for host, _ in rows], rows[0][1]
        silent = given_up(map(_heard, hosts), now, grace_seconds)
        return [
            host
            for host in hosts
            if host.id in silent and host.given_up_at is None and await self._given_up(host)
        ]

    async def _given_up(self, host: Host) -> bool:
        """Whether it is written down; not if the host has reported since it was read."""
        statement = (
            update(Host)
            .where(
                col(Host.id) == host.id,
                col(Host.seen_at) == host.seen_at,
                col(Host.given_up_at).is_(None),
            )
            .values(given_up_at=func.clock_timestamp())
            .returning(col(Host.id))
        )
        async with self._begin() as tx:
            return (await tx.execute(statement)).one_or_none() is not None

    async def of_session(self, session_id: UUID) -> Machine | None:
        """The session's machine here that is not lost or gone."""
        found = await machines(
            self._begin, _OF_SESSION, {"host": self.host_id, "session": session_id, "states": ALIVE}
        )
        return found[0] if found else None

    async def get(self, machine_id: UUID) -> Machine | None:
        """One row."""
        found = await machines(self._begin, _ONE, {"id": machine_id})
        return found[0] if found else None

    async def mine(self, *states: MachineState) -> Sequence[Machine]:
        """This host's machines in `states`; all that are not gone when none are given."""
        return await machines(self._begin, _MINE, self._in(states))

    async def standing(self, *states: MachineState) -> list[dict[str, Any]]:
        """The same, of each only what is decided by; a turn that begins waits for it.

        {id, state, used_at, memory_mib, template_id, waits, yields, private_mib}
        """
        return await rows(self._begin, _STANDING, self._in(states))

    def _in(self, states: Sequence[MachineState]) -> dict[str, Any]:
        wanted = states or tuple(s for s in MachineState if s is not MachineState.GONE)
        return {"host": self.host_id, "states": [state.value for state in wanted]}

    async def add(self, order: Order, *, session_id: UUID | None = None) -> Machine:
        """A new row in `creating`; without a session it becomes a template."""
        return await self._add(
            session_id=session_id,
            size=order.size,
            vcpus=order.spec.vcpus,
            memory_mib=order.spec.memory_mib,
            disk_gib=order.spec.disk_gib,
            image_digest=order.spec.image.digest,
        )

    async def clone_row(self, template: Template, *, note: str) -> Machine:
        """A new row in `creating` for a machine of this template, which will wait."""
        return await self._add(
            template_id=template.id,
            generation=template.generation,
            size=template.size,
            vcpus=template.vcpus,
            memory_mib=template.memory_mib,
            disk_gib=template.disk_gib,
            image_digest=template.image_digest,
            note=note,
        )

    async def _add(self, **columns: Any) -> Machine:
        now = datetime.now(UTC)
        machine = Machine(
            id=self._new_id(),
            host_id=self.host_id,
            **columns,
            state=MachineState.CREATING,
            created_at=now,
            used_at=now,
            changed_at=now,
        )
        async with self._begin() as tx:
            tx.add(machine)
        return machine

    async def move(
        self,
        machine_id: UUID,
        to: MachineState,
        *,
        note: str | None = None,
        facts: Mapping[str, Any] = MappingProxyType({}),
    ) -> Machine:
        """Move a machine; entering `starting` takes the next generation.

        Going back to rest gives it back: nobody has told it to the guest in that rest.

        A fact that is None is forgotten.

        :raises IllegalMove: the table of moves does not know this one, or it is another host's
        """
        moved = await machines(
            self._begin,
            _MOVE,
            {
                "host": self.host_id,
                "id": machine_id,
                "sources": [one.value for one, moves in MACHINE_MOVES.items() if to in moves],
                **_moved(to, note, facts),
            },
        )
        if not moved:
            await self._explain(machine_id, to)
        return moved[0]

    async def _explain(self, machine_id: UUID, to: MachineState) -> NoReturn:
        """Say why a move was not made. :raises IllegalMove: always"""
        machine = await self.get(machine_id)
        if machine is None:
            raise IllegalMove(f"there is no machine {machine_id}")
        if machine.host_id != self.host_id:
            raise IllegalMove(f"machine {machine_id} belongs to another host")
        raise IllegalMove(f"machine {machine_id}: {machine.state} → {to}")

    async def used(self, machine_id: UUID, token: int, *, yields: bool | None = None) -> None:
        """Idle time counts from now; the guest has seen `token`, and maybe higher ones since.

        :param yields: as its order says; None: as before
        """
        known = func.coalesce(col(Machine.facts)["token"].as_integer(), 0)
        seen = func.jsonb_build_object("token", func.greatest(known, token))
        facts = col(Machine.facts).op("||")(seen)
        if yields is not None:
            facts = facts.op("||")(cast({"yields": yields}, JSONB))
        async with self._begin() as tx:
            await tx.execute(
                update(Machine)
                .where(self._ours, col(Machine.id) == machine_id)
                .values(used_at=datetime.now(UTC), facts=facts)
            )

    async def images_in_use(self) -> set[str]:
        """Digests of the images that this host's machines and templates are made from."""
        machines = select(col(Machine.image_digest)).where(
            self._ours, col(Machine.state) != MachineState.GONE
        )
        templates = select(col(Template.image_digest)).where(
            col(Template.host_id) == self.host_id, col(Template.state) != TemplateState.GONE
        )
        async with self._begin() as tx:
            return set((await tx.execute(machines.union(templates))).scalars())

    async def requested(self) -> Sequence[Machine]:
        """This host's machines of which somebody asked something."""
        async with self._begin() as tx:
            return (
                (
                    await tx.execute(
                        select(Machine).where(
                            self._ours,
                            col(Machine.request).is_not(None),
                        )
                    )
                )
                .scalars()
                .all()
            )

    async def answered(self, machine_id: UUID) -> None:
        """What was asked of the machine is done or can't be done."""
        async with self._begin() as tx:
            await tx.execute(
                update(Machine)
                .where(self._ours, col(Machine.id) == machine_id)
                .values(request=None)
            )


def _heard(host: Host) -> Heard:
    return Heard(id=host.id, seen_at=host.seen_at, heard_since=host.heard_since)


def _moved(to: MachineState, note: str | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a move writes, as parameters of it."""
    return {
        "to": to.value,
        "now": datetime.now(UTC),
        "note": None if note is None else sentence(note),
        "forgotten": [name for name, fact in facts.items() if fact is None],
        "known": Jsonb({name: fact for name, fact in facts.items() if fact is not None}),
        "taken": int(to is MachineState.STARTING),
        "given_back": to is MachineState.RESTING,
    }
