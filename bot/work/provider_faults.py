"""Whether a turn failed because the provider of its model did, and what could run it instead.

    turn fails ─▶ its requests to models are settled ─▶ the last one ─▶ `decide`, `others` (pure)
               ─▶ outcome {provider, others} ─▶ words, and a button

What the gateway saw decides, not what an agent says of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.govern.offers import Offer
from bot.store.database import Database
from bot.store.states import TurnState

SETTLE_SECONDS_MAX = 5.0
"""For which the end of a turn waits until its last requests are settled: an agent may end with the
last byte of an answer, before that is written down."""
LOOK_SECONDS = 0.05
FAILURES = frozenset({TurnState.FAILED, TurnState.TIMED_OUT})
"""Outcomes that a provider can be the reason of."""
OTHERS_MAX = 5
"""Offered at once."""
OF_ALL = frozenset({"unreachable", "unpaid", "denied"})
"""Failures that no other model of the same provider mends."""

_LAST = text(
    """
    SELECT last.provider, last.model, last.fault,
           EXISTS (SELECT FROM charge WHERE turn_id = :turn AND state = 'reserved') AS under_way
      FROM (SELECT) AS one
      LEFT JOIN LATERAL (SELECT provider, model, fault FROM charge
                          WHERE turn_id = :turn AND state <> 'reserved'
                          ORDER BY settled_at DESC, id DESC LIMIT 1) AS last ON true
    """
)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A request to a model that is over."""

    provider: str
    model: str
    fault: str | None
    """How the provider failed; see `vmpool.network.model.fault`."""


def decide(state: TurnState, last: Answered | None) -> Answered | None:
    """The request by whose failure a turn failed; None: it did not, or for another reason.

    :param last: its last request to a model
    """
    if state not in FAILURES:
        return None
    return last if last is not None and last.fault else None


def others(
    failed: Answered, offers: Sequence[Offer], *, agent: str, model: str | None
) -> Sequence[Offer]:
    """What could run a turn that failed so, the most promising first.

    Other providers go before other models of the same one, which are left out where it failed
    altogether. Of two agents with the same model the session's own is taken: it knows what was
    said.

    :param agent: the session's
    :param model: its own; None: the agent's default
    """
    fitting: dict[tuple[str, str | None], Offer] = {}
    for offer in offers:
        is_same = offer.provider == failed.provider
        if (offer.agent, offer.model) == (agent, model) or (
            is_same and (failed.fault in OF_ALL or offer.model == failed.model)
        ):
            continue
        key = (offer.provider, offer.model)
        if key not in fitting or offer.agent == agent:
            fitting[key] = offer
    ordered = sorted(fitting.values(), key=lambda offer: offer.provider == failed.provider)
    return ordered[:OTHERS_MAX]


async def last_of(database: Database, turn_id: UUID) -> Answered | None:
    """The last request of a turn to a model, once none is under way any more."""
    until = asyncio.get_running_loop().time() + SETTLE_SECONDS_MAX
    while True:
        row = (await database.run(_LAST, {"turn": turn_id})).one()
        if not row.under_way or asyncio.get_running_loop().time() >= until:
            break
        await asyncio.sleep(LOOK_SECONDS)
    if row.model is None:
        return None
    return Answered(provider=row.provider, model=row.model, fault=row.fault)


def kept(failed: Answered, instead: Sequence[Offer]) -> dict[str, Any]:
    """As an outcome keeps it."""
    return {
        "provider": {"name": failed.provider, "model": failed.model, "fault": failed.fault},
        "others": [
            {"provider": one.provider, "agent": one.agent, "model": one.model} for one in instead
        ],
    }


def offered(outcome: Mapping[str, Any]) -> Sequence[Offer]:
    """What an outcome offers instead; empty: nothing, or no provider failed."""
    return [Offer(**one) for one in outcome.get("others") or ()]
