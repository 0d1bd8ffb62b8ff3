"""Which agent and model somebody's new sessions use: what they chose, while it is offered.

What is said with the prompt goes before it, and so does the agent of the project.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from bot.govern.offers import Offer
from bot.store.transaction import Transaction

_OF = text("SELECT agent, model FROM person WHERE id = :person")
_CHOOSE = text("UPDATE person SET agent = :agent, model = :model WHERE id = :person")
_INHERIT = text(
    """
    UPDATE person AS kept SET agent = gone.agent, model = gone.model
      FROM person AS gone WHERE kept.id = :keep AND gone.id = :gone AND kept.agent IS NULL
    """
)


async def chosen(tx: Transaction, person_id: UUID, offers: Sequence[Offer]) -> Offer | None:
    """What this person chose; None: nothing, or nothing that is still offered."""
    if not offers:
        return None
    row = (await tx.execute(_OF, {"person": person_id})).one_or_none()
    if row is None:
        return None
    return next((one for one in offers if (one.agent, one.model) == (row.agent, row.model)), None)


async def choose(tx: Transaction, person_id: UUID, offer: Offer | None) -> None:
    """Let new sessions of this person use it; None: what their projects and agents say."""
    wanted = {"agent": offer and offer.agent, "model": offer and offer.model}
    await tx.execute(_CHOOSE, {"person": person_id, **wanted})


async def inherit(tx: Transaction, *, keep: UUID, gone: UUID) -> None:
    """Let a person have what another one chose who becomes them, if they chose nothing."""
    await tx.execute(_INHERIT, {"keep": keep, "gone": gone})
