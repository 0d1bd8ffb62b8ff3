"""The gateway's meter: who pays for a request to a model, and whether there is so much.

What a budget does not bear is noted in a row of the turn, by which its worker asks a person, or
ends it; see `bot.govern.budget_refusals`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from bot.config import BudgetSettings, ModelSettings
from bot.govern import budget_refusals
from bot.govern.budget_refusals import Refusal, extension
from bot.govern.prices import Price, price_of
from bot.govern.spending import Limits, NotBorne, SetAside, Spending
from bot.store.database import CONTROL, Database
from bot.words.amounts import MICRO
from bot.work.running import reached, session_of
from vmpool.network.gateway import model_route
from vmpool.network.gateway.ports import Identity
from vmpool.network.model.asking import Asked
from vmpool.network.model.fault import Fault
from vmpool.network.model.usage import Usage


@dataclass(frozen=True, kw_only=True)
class Charged:
    """A request under way."""

    id: UUID
    price: Price


class Metering:
    """Reserves and settles in the budgets of the installation."""

    def __init__(
        self,
        database: Database,
        spending: Spending,
        models: Mapping[str, ModelSettings],
    ) -> None:
        self._database = database
        self._spending = spending
        self._prices = {
            name: Price(**price.model_dump())
            for model in models.values()
            for name, price in model.prices.items()
        }

    async def reserve(
        self, who: Identity, provider: str, asked: Asked, *, turn: UUID | None = None
    ) -> Charged:
        """See `vmpool.network.gateway.model_route.Meter`."""
        price = price_of(asked.model, self._prices)
        try:
            with reached():
                charge = await self._spending.reserve(
                    session_of(who),
                    provider=provider,
                    model=asked.model,
                    worst=price.micro_dollars(asked.worst),
                    turn=turn,
                )
        except SetAside as error:
            raise model_route.Paused(str(error), turn=error.spender.turn_id) from error
        except NotBorne as error:
            await self._note(error)
            if error.budget.kind == "session":
                raise model_route.Paused(str(error), turn=error.spender.turn_id) from error
            raise model_route.OverBudget(str(error)) from error
        return Charged(id=charge, price=price)

    async def settle(
        self, charge: Charged, usage: Usage, *, is_estimate: bool, fault: Fault | None
    ) -> None:
        """See `vmpool.network.gateway.model_route.Meter`."""
        cost = charge.price.micro_dollars(usage)
        await self._spending.settle(
            charge.id, usage, cost=cost, is_estimate=is_estimate, fault=fault
        )

    async def _note(self, error: NotBorne) -> None:
        """Write down what was refused, and hint the turn's worker."""
        spender, budget, step = error.spender, error.budget, self._spending.session_limit
        can_grow = budget.kind == "session" and step is not None
        more = extension(step or 1, budget, error.worst) if can_grow else 0
        refusal = Refusal(budget=budget, worst=error.worst, more=more)
        async with self._database.begin() as tx:
            if await budget_refusals.note(tx, spender.turn_id, refusal):
                tx.hint(CONTROL, spender.session_id)


def limits_of(settings: BudgetSettings) -> Limits:
    """The limits that are set, in micro-dollars."""

    def micro(dollars: float | None) -> int | None:
        return None if dollars is None else round(dollars * MICRO)

    return Limits(
        session=micro(settings.session_usd),
        person_day=micro(settings.person_day_usd),
        project_day=micro(settings.project_day_usd),
    )
