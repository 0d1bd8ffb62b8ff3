"""The gateway's meter: who pays for a request to a model, and whether there is so much."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from bot.config import BudgetSettings, ModelSettings
from bot.govern.prices import MICRO, Price, price_of
from bot.govern.spending import Limits, OverBudget, Spending
from bot.words.catalogue import of_error
from bot.work.running import Running
from vmpool.network.gateway import model_route
from vmpool.network.gateway.ports import Identity
from vmpool.network.model.asking import Asked
from vmpool.network.model.usage import Provider, Usage

SESSIONS_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class Charged:
    """A request under way."""

    id: UUID
    price: Price


class Metering:
    """Reserves and settles in the budgets of the installation."""

    def __init__(
        self, spending: Spending, running: Running, models: Mapping[str, ModelSettings]
    ) -> None:
        self._spending = spending
        self._running = running
        self._prices = {
            name: Price(**price.model_dump())
            for model in models.values()
            for name, price in model.prices.items()
        }
        self._over: dict[UUID, tuple[UUID, str]] = {}

    async def reserve(self, who: Identity, provider: Provider, asked: Asked) -> Charged:
        """See `vmpool.network.gateway.model_route.Meter`."""
        spender = await self._running.turn_of(who)
        price = price_of(asked.model, self._prices)
        try:
            charge = await self._spending.reserve(
                spender, model=asked.model, worst=price.micro_dollars(asked.worst)
            )
        except OverBudget as error:
            if len(self._over) >= SESSIONS_MAX:
                self._over.clear()
            self._over[spender.session_id] = (spender.turn_id, of_error(error))
            raise model_route.OverBudget(str(error)) from error
        return Charged(id=charge, price=price)

    async def settle(self, charge: Charged, usage: Usage, *, is_estimate: bool) -> None:
        """See `vmpool.network.gateway.model_route.Meter`."""
        cost = charge.price.micro_dollars(usage)
        await self._spending.settle(charge.id, usage, cost=cost, is_estimate=is_estimate)

    def exceeded(self, session_id: UUID, turn_id: UUID) -> str | None:
        """Why a turn may spend no more; None: nothing was refused to it."""
        over = self._over.get(session_id)
        return over[1] if over is not None and over[0] == turn_id else None


def limits_of(settings: BudgetSettings) -> Limits:
    """The limits that are set, in micro-dollars."""

    def micro(dollars: float | None) -> int | None:
        return None if dollars is None else round(dollars * MICRO)

    return Limits(
        session=micro(settings.session_usd),
        person_day=micro(settings.person_day_usd),
        project_day=micro(settings.project_day_usd),
    )
