"""The request to a model that no budget bore, a row for each turn: it outlives every process.

gateway: refused ─▶ row, and a hint to the worker of the turn
worker: a session's budget ─▶ a person is asked; anybody else's ─▶ the turn ends by it
answered with more ─▶ the budget is extended and the row is gone, in one transaction
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from bot.govern.spending import Budget, Kind, OverBudget
from bot.store.transaction import Transaction

_NOTE = text(
    """
    INSERT INTO budget_refusal AS known (turn_id, kind, limit_micro, spent_micro, reserved_micro,
                                         worst_micro, more_micro)
    SELECT id, :kind, :limit, :spent, :reserved, :worst, :more
      FROM turn WHERE id = :turn AND state = 'running'
        ON CONFLICT (turn_id) DO UPDATE
       SET kind = excluded.kind, limit_micro = excluded.limit_micro,
           spent_micro = excluded.spent_micro, reserved_micro = excluded.reserved_micro,
           worst_micro = excluded.worst_micro, more_micro = excluded.more_micro, at = now()
     WHERE (known.kind, known.limit_micro) IS DISTINCT FROM (excluded.kind, excluded.limit_micro)
    RETURNING turn_id
    """
)
_OF_TURN = text(
    """
    SELECT kind, limit_micro, spent_micro, reserved_micro, worst_micro, more_micro
      FROM budget_refusal WHERE turn_id = :turn
    """
)
_FORGET = text("DELETE FROM budget_refusal WHERE turn_id = :turn")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """How a budget stood when it did not bear a request, in micro-dollars."""

    budget: Budget
    worst: int
    """What the request may cost."""
    more: int
    """By how much a session's budget would be extended; 0: it is no session's."""

    @property
    def key(self) -> str:
        """Names the question about it: one for each limit, which an extension raises."""
        return f"budget:{self.budget.limit}"

    @property
    def error(self) -> OverBudget:
        """What was raised when it happened."""
        return OverBudget(self.budget, self.worst)


def extension(step: int, budget: Budget, worst: int) -> int:
    """The fewest whole steps by which a budget bears a request that may cost `worst`; pure.

    :param step: the limit that sessions have, in micro-dollars; at least 1
    """
    lacking = max(1, budget.spent + worst - budget.limit)
    return step * -(-lacking // step)


async def note(tx: Transaction, turn_id: UUID, refusal: Refusal) -> bool:
    """Keep a refusal of a running turn; False: it is known already."""
    budget = refusal.budget
    values = {
        "turn": turn_id,
        "kind": budget.kind,
        "limit": budget.limit,
        "spent": budget.spent,
        "reserved": budget.reserved,
        "worst": refusal.worst,
        "more": refusal.more,
    }
    return (await tx.execute(_NOTE, values)).first() is not None


async def of_turn(tx: Transaction, turn_id: UUID) -> Refusal | None:
    """The last request that was refused to a turn; None: none was, or the budget was extended."""
    row = (await tx.execute(_OF_TURN, {"turn": turn_id})).one_or_none()
    if row is None:
        return None
    kind: Kind = row.kind
    budget = Budget(
        kind=kind, limit=row.limit_micro, spent=row.spent_micro, reserved=row.reserved_micro
    )
    return Refusal(budget=budget, worst=row.worst_micro, more=row.more_micro)


async def forget(tx: Transaction, turn_id: UUID) -> None:
    """The turn may spend again."""
    await tx.execute(_FORGET, {"turn": turn_id})
