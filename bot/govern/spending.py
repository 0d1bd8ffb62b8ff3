"""What turns may spend on models, and what they did.

    request ─▶ reserve its worst case in the budgets of session, person and project of the turn that
               runs (one guarded statement) ─▶ asked, answered ─▶ settle: what it did cost, and the
               rest is free again

A budget is never exceeded, however many requests are under way at once: what might be spent counts
until it is known. A request that is cut is settled with an estimate; one whose process is gone,
with its worst case, by `sweep`. Money is in micro-dollars, whole numbers.

A request does not wait until its reservation is on the disk, which the next commit that does wait
brings there too: a PostgreSQL that crashes may forget those of its last moment (three times its
`wal_writer_delay`, 0.6 s), and what such requests cost is then in no budget.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from psycopg.errors import NotNullViolation

from bot.govern.spenders import Spender, spender_of
from bot.store.database import Database
from bot.store.ids import new_id
from bot.store.statements import load
from bot.store.transaction import Transaction
from bot.words.amounts import dollars
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from vmpool.network.model.fault import Fault
from vmpool.network.model.usage import Usage

SQL = load(Path(__file__).parent / "sql" / "spending.sql")

WHOLE = date(1970, 1, 1)
"""The day of a budget that is for no day: a session's."""
REQUEST_SECONDS_MAX = 3_600.0
"""No request takes longer; one that is open for longer has nobody who would settle it."""

Kind = Literal["session", "person", "project"]
_WORDS = {
    "session": N_("the budget of this session"),
    "person": N_("today's budget of the person who asked"),
    "project": N_("today's budget of the project"),
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Micro-dollars; None: no limit."""

    session: int | None = None
    person_day: int | None = None
    project_day: int | None = None


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How one budget stands, in micro-dollars."""

    kind: Kind
    limit: int
    spent: int
    reserved: int
    """Set aside for requests under way."""


class OverBudget(Exception):
    """A budget does not bear the worst case of a request; says which, and how it stands."""

    def __init__(self, budget: Budget, worst: int) -> None:
        spent, limit = dollars(budget.spent), dollars(budget.limit)
        stands = _("{spent} of {limit} USD are used", spent=spent, limit=limit)
        if budget.reserved:
            reserved = dollars(budget.reserved)
            stands = _("{used}, {reserved} are set aside", used=stands, reserved=reserved)
        super().__init__(
            _(
                "{budget} does not bear this request, which may cost up to {cost} USD: {used}",
                budget=_(_WORDS[budget.kind]),
                cost=dollars(worst),
                used=stands,
            )
        )
        self.budget = budget
        self.worst = worst


class NotBorne(OverBudget):
    """The request of a turn, which none of the budgets was changed by."""

    def __init__(self, budget: Budget, worst: int, spender: Spender) -> None:
        super().__init__(budget, worst)
        self.spender = spender


class SetAside(NotBorne):
    """As things are; when what is set aside for others was cheaper, it bears the request."""


class Spending:
    """Keeps the budgets of an installation."""

    def __init__(self, database: Database, limits: Limits) -> None:
        """`limits` of every session, person and project."""
        self._database = database
        self._limits = limits

    async def reserve(
        self,
        session_id: UUID,
        *,
        model: str,
        worst: int,
        provider: str = "",
        turn: UUID | None = None,
    ) -> UUID:
        """Set aside what a request costs at most, for the turn that runs; the charge to settle.

        :param provider: the name of whose model it is
        :param turn: which alone may pay; None: whichever runs
        :raises NoTurn: none runs, or another one
        :raises Suspended: it waits
        :raises NotBorne: a budget does not bear it; nothing is set aside
        :raises SetAside: it may bear it in a moment
        """
        charge = new_id()
        asked = {
            "id": charge,
            "session": session_id,
            "turn": turn,
            "provider": provider,
            "model": model,
            "worst": worst,
            "whole": WHOLE,
            "person_limit": self._limits.person_day,
            "project_limit": self._limits.project_day,
            "session_limit": self._limits.session,
        }
        row = await self._reserved(asked)
        spender = spender_of(row, turn)
        if not row.is_borne:
            raise _refused(await self._standing(spender), worst, spender)
        return charge

    async def _reserved(self, asked: Mapping[str, Any]) -> Any:
        while True:
            try:
                return (await self._database.run(SQL["reserve"], asked)).one_or_none()
            except NotNullViolation as error:
                # Another request was faster: nothing is set aside, and now it shows what that took.
                if error.diag.column_name != "worst_micro":
                    raise

    async def settle(
        self,
        charge: UUID,
        usage: Usage,
        *,
        cost: int,
        is_estimate: bool = False,
        fault: Fault | None = None,
    ) -> bool:
        """Write what a request did cost; False: that was done before, nothing is changed.

        :param fault: how its provider failed
        """
        async with self._database.begin() as tx:
            return await _settle(tx, charge, usage, cost=cost, is_estimate=is_estimate, fault=fault)

    async def sweep(self, *, seconds: float = REQUEST_SECONDS_MAX) -> int:
        """Settle with their worst case the requests whose end nobody has told; how many."""
        return await self._give_up("stale", {"seconds": seconds})

    async def settle_left(self, host_id: UUID) -> int:
        """The same for those that the last process of a host carried; before its gateway opens."""
        return await self._give_up("left_by", {"host": host_id})

    async def _give_up(self, which: str, values: dict[str, Any]) -> int:
        async with self._database.begin() as tx:
            stale = (await tx.execute(SQL[which], values)).all()
            for one in stale:
                await _settle(tx, one.id, Usage(), cost=one.worst_micro, is_estimate=True)
        return len(stale)

    @property
    def session_limit(self) -> int | None:
        """Of every session, before it is extended, in micro-dollars; None: there is none."""
        return self._limits.session

    async def _standing(self, spender: Spender) -> list[Budget]:
        """How each budget that has a limit stands."""
        budgets: list[tuple[Kind, UUID, int | None]] = [
            ("person", spender.person_id, self._limits.person_day),
            ("project", spender.project_id, self._limits.project_day),
            ("session", spender.session_id, self._limits.session),
        ]
        kinds, owners, limits = (list(column) for column in zip(*budgets, strict=True))
        asked = {"kinds": kinds, "owners": owners, "limits": limits, "whole": WHOLE}
        return [
            Budget(
                kind=row.kind,
                limit=row.limit_micro,
                spent=row.spent_micro,
                reserved=row.reserved_micro,
            )
            for row in await self._database.run(SQL["left"], asked)
        ]


async def extend(tx: Transaction, session_id: UUID, micro: int) -> None:
    """Let a session spend more than the limit of all."""
    await tx.execute(SQL["extend"], {"session": session_id, "whole": WHOLE, "extra": micro})


async def spent(
    tx: Transaction,
    *,
    turn_id: UUID | None = None,
    session_id: UUID | None = None,
    person_id: UUID | None = None,
    project_id: UUID | None = None,
    since: datetime | None = None,
) -> Sequence[Any]:
    """What was used, by model, the dearest first: requests, cost_micro, tokens, is_estimated."""
    rows = await tx.execute(
        SQL["spent"],
        {
            "turn": turn_id,
            "session": session_id,
            "person": person_id,
            "project": project_id,
            "since": since.astimezone(UTC).date() if since else None,
        },
    )
    return rows.all()


def _refused(budgets: Sequence[Budget], worst: int, spender: Spender) -> NotBorne:
    """Why a request is not borne; pure.

    A session's budget is named last: it can be extended, which is of no use while another lacks.
    """
    lacking = [one for one in budgets if one.spent + worst > one.limit]
    if not lacking:
        least = min(budgets, key=lambda one: one.limit - one.spent - one.reserved)
        return SetAside(least, worst, spender)
    found = min(lacking, key=lambda one: (one.kind == "session", one.limit - one.spent))
    return NotBorne(found, worst, spender)


async def _settle(
    tx: Transaction,
    charge: UUID,
    usage: Usage,
    *,
    cost: int,
    is_estimate: bool,
    fault: Fault | None = None,
) -> bool:
    settled = (
        await tx.execute(
            SQL["settle"],
            {
                "id": charge,
                "state": "estimated" if is_estimate else "settled",
                "cost": cost,
                "fault": fault,
                "input": usage.input_tokens,
                "output": usage.output_tokens,
                "cache_read": usage.cache_read_tokens,
                "cache_write": usage.cache_write_tokens,
            },
        )
    ).one_or_none()
    if settled is None:
        return False
    await tx.execute(
        SQL["book"],
        {
            "session": settled.session_id,
            "person": settled.person_id,
            "project": settled.project_id,
            "day": settled.day,
            "whole": WHOLE,
            "worst": settled.worst_micro,
            "cost": cost,
        },
    )
    return True
