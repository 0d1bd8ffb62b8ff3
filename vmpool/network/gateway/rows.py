"""The addresses of names, as rows.

A clone woke up with the memory of the machine that its template was made of, so it has the names
of that one too, with their numbers; new ones go on from there.
"""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from vmpool.begin import Begin
from vmpool.machine import Machine, MachineName, Template


class NameRows:
    """See `vmpool.network.gateway.ports.Names`."""

    def __init__(self, begin: Begin) -> None:
        """`begin` opens a short transaction."""
        self._begin = begin

    async def known(self, machine: UUID) -> Mapping[str, int]:
        """All names of a machine, each with its number."""
        statement = select(col(MachineName.name), col(MachineName.number)).where(_of(machine))
        async with self._begin() as tx:
            return {name: number for name, number in (await tx.execute(statement)).all()}

    async def add(self, machine: UUID, name: str) -> int:
        """The number of a name, a new one if it had none. :raises KeyError: no such machine"""
        row = select(col(Machine.id)).where(col(Machine.id) == machine).with_for_update()
        found = select(col(MachineName.number)).where(_of(machine), col(MachineName.name) == name)
        last = select(func.max(col(MachineName.number))).where(_of(machine))
        async with self._begin() as tx:
            if await tx.scalar(row) is None:  # held, so that they come one at a time
                raise KeyError(f"there is no machine {machine}")
            number = await tx.scalar(found)
            if number is None:
                before = await tx.scalar(last)
                number = 0 if before is None else before + 1
                values = {"machine_id": machine, "name": name, "number": number}
                await tx.execute(insert(MachineName).values(values))
        return number


def _of(machine: UUID) -> ColumnElement[bool]:
    """Names of a machine, and of the one that its template was made of."""
    made_of = (
        select(col(Template.machine_id))
        .join(Machine, col(Machine.template_id) == col(Template.id))
        .where(col(Machine.id) == machine)
    )
    of = col(MachineName.machine_id)
    return or_(of == machine, of.in_(made_of))
