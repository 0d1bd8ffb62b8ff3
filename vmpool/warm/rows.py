"""The rows of templates, of machines that wait, and of machines handed out: short transactions.

A machine waits while it was cloned from a template and works for no session. Whoever takes it
from there, for a session or to change it, does so by one guarded update: at most one succeeds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import Text, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.sql.expression import cast
from sqlmodel import col

from vmpool.begin import COLUMNS, Begin, at_once, machines
from vmpool.machine import (
    MACHINE_MOVES,
    TEMPLATE_MOVES,
    Handout,
    Machine,
    MachineState,
    PoolStatus,
    Template,
    TemplateState,
    TemplateWait,
    Tier,
)
from vmpool.registry import IllegalMove, Order
from vmpool.storable import sentence
from vmpool.warm.due import Wait

HANDED_OUT_FROM = {MachineState.PAUSED: Tier.HOT, MachineState.RESTING: Tier.COLD}
"""In the order in which they are taken."""
_CLAIM = f"""
UPDATE machine
   SET session_id = %(session)s, used_at = %(now)s, note = NULL, facts = facts || %(known)s::jsonb
 WHERE id = (
        SELECT waiting.id
          FROM machine AS waiting JOIN template ON template.id = waiting.template_id
         WHERE waiting.host_id = %(host)s AND waiting.session_id IS NULL
           AND template.project_id = %(project)s AND waiting.size = %(size)s
           AND waiting.vcpus = %(vcpus)s AND waiting.memory_mib = %(memory_mib)s
           AND waiting.disk_gib = %(disk_gib)s AND waiting.state IN ('paused', 'resting')
         ORDER BY waiting.state = 'paused' DESC, template.created_at DESC, waiting.created_at
         LIMIT 1
           FOR UPDATE OF waiting SKIP LOCKED)
RETURNING {COLUMNS}
"""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Somebody asked for a machine: what pools are sized by."""

    id: UUID
    project_id: UUID
    size: str
    at: datetime


class Rows:
    """Templates and waiting machines of one host, as rows."""

    def __init__(self, begin: Begin, host_id: UUID, new_id: Callable[[], UUID]) -> None:
        """`host_id` is the host whose templates and machines these are."""
        self._begin = at_once(begin)
        self._begin_several = begin
        """For statements that belong together."""
        self._host_id = host_id
        self._new_id = new_id
        self._waiting = (
            col(Machine.host_id) == host_id,
            col(Machine.session_id).is_(None),
            col(Machine.template_id).is_not(None),
        )

    # -- machines that wait -----------------------------------------------------------------

    async def claim(
        self, order: Order, session_id: UUID, token: int
    ) -> tuple[Machine, Tier] | None:
        """Give the session a machine that waits, a hot one first; None: none waits.

        `token` is the lease token that its guest is about to see.

        Retired templates count until theirs are used up: what a machine holds is brought up to
        date by whoever gets it.
        """
        parameters = {
            "host": self._host_id,
            "session": session_id,
            "now": datetime.now(UTC),
            "known": Jsonb({"token": token, "yields": order.yields}),
            "project": order.project_id,
            "size": order.size,
            "vcpus": order.spec.vcpus,
            "memory_mib": order.spec.memory_mib,
            "disk_gib": order.spec.disk_gib,
        }
        claimed = await machines(self._begin, _CLAIM, parameters)
        return (claimed[0], HANDED_OUT_FROM[claimed[0].state]) if claimed else None

    async def give_back(self, machine_id: UUID, session_id: UUID, why: str) -> None:
        """Let a hot machine wait again that was claimed for the session and never went on.

        Its guest has not heard of the session: it saw no token, and its CPUs stood still.
        """
        untold = col(Machine.facts).op("-")(cast(["token", "yields"], ARRAY(Text)))
        note = f"it was claimed, and could not go on: {why}"
        statement = (
            update(Machine)
            .where(
                col(Machine.host_id) == self._host_id,
                col(Machine.id) == machine_id,
                col(Machine.session_id) == session_id,
                col(Machine.state) == MachineState.PAUSED,
            )
            .values(session_id=None, note=note, facts=untold)
        )
        async with self._begin() as tx:
            await tx.execute(statement)

    async def waiting(self) -> Sequence[Machine]:
        """The machines that wait or are being made to wait."""
        async with self._begin() as tx:
            statement = select(Machine).where(
                *self._waiting, col(Machine.state) != MachineState.GONE
            )
            return (await tx.execute(statement)).scalars().all()

    async def unclaimed(self) -> Sequence[Machine]:
        """Every machine without a session: those that wait, and those set up for a template."""
        async with self._begin() as tx:
            statement = select(Machine).where(
                col(Machine.host_id) == self._host_id,
                col(Machine.session_id).is_(None),
                col(Machine.state) != MachineState.GONE,
            )
            return (await tx.execute(statement)).scalars().all()

    async def take_aside(self, machine_id: UUID, to: MachineState, *, note: str) -> Machine | None:
        """Move a machine that still waits; None when a session has it meanwhile.

        Entering `starting` takes the next generation, as in `Registry.move`.
        """
        sources = [state for state, moves in MACHINE_MOVES.items() if to in moves]
        note = sentence(note)
        values: dict[str, Any] = {"state": to, "note": note, "changed_at": datetime.now(UTC)}
        if to is MachineState.STARTING:
            values["generation"] = col(Machine.generation) + 1
        statement = (
            update(Machine)
            .where(*self._waiting, col(Machine.id) == machine_id, col(Machine.state).in_(sources))
            .values(**values)
            .returning(Machine)
        )
        async with self._begin() as tx:
            return (await tx.execute(statement)).scalar_one_or_none()

    # -- handed out -------------------------------------------------------------------------

    def asked(self, order: Order) -> Asked:
        """Somebody asks for a machine, now; `handed_out` writes it down."""
        now = datetime.now(UTC)
        return Asked(id=self._new_id(), project_id=order.project_id, size=order.size, at=now)

    async def handed_out(self, asked: Asked, machine_id: UUID, tier: Tier, seconds: float) -> None:
        """Write down that a session got the machine that was asked for."""
        async with self._begin() as tx:
            tx.add(
                Handout(
                    id=asked.id,
                    host_id=self._host_id,
                    project_id=asked.project_id,
                    size=asked.size,
                    machine_id=machine_id,
                    tier=tier,
                    seconds=seconds,
                    at=asked.at,
                )
            )

    async def handouts(self, since: datetime) -> Sequence[Asked]:
        """Which machines were asked for after `since` and handed out; the oldest first."""
        columns = col(Handout.id), col(Handout.project_id), col(Handout.size), col(Handout.at)
        statement = (
            select(*columns)
            .where(col(Handout.host_id) == self._host_id, col(Handout.at) > since)
            .order_by(col(Handout.at))
        )
        async with self._begin() as tx:
            rows = await tx.execute(statement)
            return [Asked(id=row[0], project_id=row[1], size=row[2], at=row[3]) for row in rows]

    async def forget_handouts(self, before: datetime) -> None:
        """Remove what is older than anybody looks back."""
        async with self._begin() as tx:
            await tx.execute(
                delete(Handout).where(
                    col(Handout.host_id) == self._host_id, col(Handout.at) < before
                )
            )

    # -- templates --------------------------------------------------------------------------

    async def begin_template(
        self, order: Order, fingerprint: str, *, failures: int = 0
    ) -> Template:
        """A new row in `building`. :raises IntegrityError: one for this order is being built."""
        now = datetime.now(UTC)
        template = Template(
            id=self._new_id(),
            host_id=self._host_id,
            project_id=order.project_id,
            size=order.size,
            vcpus=order.spec.vcpus,
            memory_mib=order.spec.memory_mib,
            disk_gib=order.spec.disk_gib,
            image_digest=order.spec.image.digest,
            fingerprint=fingerprint,
            failures=failures,
            state=TemplateState.BUILDING,
            created_at=now,
            changed_at=now,
        )
        async with self._begin() as tx:
            tx.add(template)
        return template

    async def templates(self, *states: TemplateState) -> Sequence[Template]:
        """This host's templates in `states`, the newest first; all but gone ones if none given."""
        wanted = states or tuple(s for s in TemplateState if s is not TemplateState.GONE)
        statement = (
            select(Template)
            .where(col(Template.host_id) == self._host_id, col(Template.state).in_(wanted))
            .order_by(col(Template.created_at).desc())
        )
        async with self._begin() as tx:
            return (await tx.execute(statement)).scalars().all()

    async def template(self, template_id: UUID) -> Template | None:
        """One row."""
        async with self._begin() as tx:
            return await tx.get(Template, template_id)

    async def note_machine(self, template_id: UUID, machine_id: UUID) -> None:
        """Say which machine is set up for a template."""
        async with self._begin() as tx:
            await tx.execute(
                update(Template)
                .where(col(Template.id) == template_id)
                .values(machine_id=machine_id)
            )

    async def note_step(
        self, template_id: UUID, name: str, *, number: int, count: int | None
    ) -> None:
        """Say what is being done for a template, until it is ready or failed.

        :param number: of the step, from 1; of `count`, once that is known
        """
        values = {"note": sentence(name), "step_number": number, "step_count": count}
        async with self._begin() as tx:
            await tx.execute(
                update(Template).where(col(Template.id) == template_id).values(**values)
            )

    async def log_step(self, template_id: UUID, step: Mapping[str, Any]) -> None:
        """Append to the log of a build."""
        steps = col(Template.steps).op("||")(cast([dict(step)], JSONB))
        async with self._begin() as tx:
            await tx.execute(
                update(Template).where(col(Template.id) == template_id).values(steps=steps)
            )

    async def move_template(
        self,
        template_id: UUID,
        to: TemplateState,
        *,
        note: str | None = None,
    ) -> None:
        """Move a template. :raises IllegalMove:."""
        sources = [state for state, moves in TEMPLATE_MOVES.items() if to in moves]
        values: dict[str, Any] = {"state": to, "changed_at": datetime.now(UTC)}
        if note is not None:
            values["note"] = sentence(note)
        statement = (
            update(Template)
            .where(
                col(Template.id) == template_id,
                col(Template.host_id) == self._host_id,
                col(Template.state).in_(sources),
            )
            .values(**values)
            .returning(col(Template.id))
        )
        async with self._begin() as tx:
            if (await tx.execute(statement)).scalar_one_or_none() is None:
                raise IllegalMove(f"template {template_id} can't become {to}")

    async def finish_template(self, template: Template, *, commit: str, generation: int) -> None:
        """It is ready, and in that moment older ones of its pool make no machines any more.

        :raises IllegalMove: it was not being built
        """
        now = datetime.now(UTC)
        ours = col(Template.host_id) == self._host_id
        older = (
            update(Template)
            .where(
                ours,
                col(Template.project_id) == template.project_id,
                col(Template.size) == template.size,
                col(Template.state) == TemplateState.READY,
            )
            .values(state=TemplateState.RETIRED, changed_at=now, note="a newer one is ready")
        )
        finished = (
            update(Template)
            .where(
                ours,
                col(Template.id) == template.id,
                col(Template.state) == TemplateState.BUILDING,
            )
            .values(
                state=TemplateState.READY,
                changed_at=now,
                commit=commit,
                generation=generation,
                failures=0,
                note=None,
            )
            .returning(col(Template.id))
        )
        async with self._begin_several() as tx:
            await tx.execute(older)
            if (await tx.execute(finished)).scalar_one_or_none() is None:
                raise IllegalMove(f"template {template.id} can't become ready")

    # -- what pools look like ---------------------------------------------------------------

    async def report_waits(self, waits: Iterable[Wait]) -> None:
        """Say which templates of this host are to be built; no others are."""
        now = datetime.now(UTC)
        rows = [
            TemplateWait(
                host_id=self._host_id,
                project_id=wait.key[0],
                size=wait.key[1],
                why=wait.why,
                failures=wait.failures,
                not_before=wait.not_before,
                ahead=wait.ahead,
                changed_at=now,
            )
            for wait in waits
        ]
        async with self._begin_several() as tx:
            await tx.execute(delete(TemplateWait).where(col(TemplateWait.host_id) == self._host_id))
            tx.add_all(rows)

    async def report(self, statuses: Iterable[Mapping[str, Any]]) -> None:
        """Say how the pools of this host stand; those not among `statuses` are gone."""
        rows = [{"host_id": self._host_id, **status} for status in statuses]
        keys = ["host_id", "project_id", "size"]
        async with self._begin_several() as tx:
            await tx.execute(
                delete(PoolStatus).where(
                    col(PoolStatus.host_id) == self._host_id,
                    func.row(col(PoolStatus.project_id), col(PoolStatus.size)).not_in(
                        [(row["project_id"], row["size"]) for row in rows]
                    )
                    if rows
                    else col(PoolStatus.host_id) == self._host_id,
                )
            )
            if rows:
                statement = insert(PoolStatus)
                changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
                await tx.execute(
                    statement.on_conflict_do_update(index_elements=keys, set_=changed), rows
                )
