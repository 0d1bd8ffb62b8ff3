"""The rows of machines and hosts: short transactions, each move checked by the table of moves."""

import platform
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import Text, case, cast, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vmpool.driver import MachineSpec
from vmpool.machine import (
    MACHINE_MOVES,
    Host,
    Machine,
    MachineState,
    Template,
    TemplateState,
)
from vmpool.storable import sentence

Begin = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Opens a short transaction; passed in by the composition root."""

AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}

ALIVE = [
    state
    for state in MachineState
    if state not in {MachineState.LOST, MachineState.REMOVING, MachineState.GONE}
]


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


def at_once(begin: Begin) -> Begin:
    """The same for one statement, which commits itself: one round trip instead of three.

    Somebody waits for a machine meanwhile. Statements that belong together need `begin` itself.
    """

    @asynccontextmanager
    async def one() -> AsyncIterator[AsyncSession]:
        async with begin() as tx:
            await tx.connection(execution_options=AUTOCOMMIT)
            yield tx

    return one


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
        """Say that this host is here."""
        values = {
            "name": platform.node(),
            "driver": driver,
            "accelerator": accelerator,
            "boot_id": boot_id,
            "seen_at": datetime.now(UTC),
        }
        statement = insert(Host).values(id=self.host_id, **values)
        async with self._begin() as tx:
            await tx.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

    async def of_session(self, session_id: UUID) -> Machine | None:
        """The session's machine here that is not lost or gone."""
        async with self._begin() as tx:
            return (
                await tx.execute(
                    select(Machine).where(
                        self._ours,
                        col(Machine.session_id) == session_id,
                        col(Machine.state).in_(ALIVE),
                    )
                )
            ).scalar_one_or_none()

    async def get(self, machine_id: UUID) -> Machine | None:
        """One row."""
        async with self._begin() as tx:
            return await tx.get(Machine, machine_id)

    async def mine(self, *states: MachineState) -> Sequence[Machine]:
        """This host's machines in `states`; all that are not gone when none are given."""
        wanted = states or tuple(s for s in MachineState if s is not MachineState.GONE)
        async with self._begin() as tx:
            return (
                (
                    await tx.execute(
                        select(Machine).where(
                            self._ours,
                            col(Machine.state).in_(wanted),
                        )
                    )
                )
                .scalars()
                .all()
            )

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
        statement = (
            update(Machine)
            .where(
                self._ours,
                col(Machine.id) == machine_id,
                col(Machine.state).in_([s for s, moves in MACHINE_MOVES.items() if to in moves]),
            )
            .values(**_moved(to, note, facts))
            .returning(Machine)
        )
        async with self._begin() as tx:
            machine = (await tx.execute(statement)).scalar_one_or_none()
            if machine is None:
                await self._explain(tx, machine_id, to)
            return machine

    async def _explain(self, tx: AsyncSession, machine_id: UUID, to: MachineState) -> NoReturn:
        """Say why a move was not made. :raises IllegalMove: always, unless there is no such row"""
        machine = (
            await tx.execute(select(Machine).where(col(Machine.id) == machine_id))
        ).scalar_one()
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


def _moved(to: MachineState, note: str | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a move writes."""
    known = {name: fact for name, fact in facts.items() if fact is not None}
    forgotten = [name for name, fact in facts.items() if fact is None]
    values: dict[str, Any] = {"state": to, "changed_at": datetime.now(UTC)}
    if note is not None:
        values["note"] = sentence(note)
    if facts:
        kept = col(Machine.facts).op("-")(cast(forgotten, ARRAY(Text)))
        values["facts"] = kept.op("||")(cast(known, JSONB))
    generation = col(Machine.generation)
    if to is MachineState.STARTING:
        values["generation"] = generation + 1
    elif to is MachineState.RESTING:
        came = col(Machine.state) == MachineState.STARTING
        values["generation"] = case((came, generation - 1), else_=generation)
    return values
