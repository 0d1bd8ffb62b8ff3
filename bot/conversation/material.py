"""What came with a prompt beside its words, for another prompt that is to have it too."""

from typing import Any, TypedDict
from uuid import UUID

from sqlalchemy import text

from adapters.chat.incoming import Attached, Quoted
from bot.store.transaction import Transaction
from bot.work import attachments, quoting

_QUOTED = text(
    """
    SELECT one.value FROM delivery,
           jsonb_array_elements(delivery.quoted) WITH ORDINALITY AS one (value, place)
     WHERE delivery.prompt_id = :prompt ORDER BY delivery.event, one.place
    """
)


class Material(TypedDict):
    """As `IncomingMessage` has it."""

    quoted: tuple[Quoted, ...]
    files: tuple[Attached, ...]


async def of_prompt(tx: Transaction, prompt: UUID) -> Material:
    """What was said before a prompt, and the files beside both."""
    quoted: list[Any] = list((await tx.execute(_QUOTED, {"prompt": prompt})).scalars())
    files = await attachments.of_prompt(tx, prompt)
    return Material(quoted=quoting.restored(quoted), files=tuple(files))
