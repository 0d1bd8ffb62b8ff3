"""Files that came with a prompt: kept with its delivery, and there again when its turn begins."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from adapters.chat.incoming import Attached
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.amounts import short
from bot.words.plain import settled

NAME_LENGTH_MAX = 120
WHY_LENGTH_MAX = 200

_ADD = text(
    """
    INSERT INTO attachment (id, delivery_id, place, message_key, name, media_type, data, why)
    VALUES (:id, :delivery, :place, :key, :name, :media_type, :data, :why)
    """
)
_COPY = text(
    """
    INSERT INTO attachment (id, delivery_id, place, message_key, name, media_type, data, why)
    SELECT gen_random_uuid(), :delivery, row_number() OVER (ORDER BY said.event, known.place),
           known.message_key, known.name, known.media_type, known.data, known.why
      FROM attachment AS known JOIN delivery AS said ON said.id = known.delivery_id
     WHERE said.prompt_id = :prompt
    """
)
_OF_PROMPT = text(
    """
    SELECT attachment.message_key AS key, attachment.name, attachment.media_type,
           attachment.data, attachment.why
      FROM attachment JOIN delivery ON delivery.id = attachment.delivery_id
     WHERE delivery.prompt_id = :prompt
     ORDER BY delivery.event, attachment.place
    """
)


async def add(tx: Transaction, delivery: UUID, files: Sequence[Attached]) -> None:
    """Keep the files of a delivery."""
    for place, one in enumerate(files, start=1):
        values = {
            "id": new_id(),
            "delivery": delivery,
            "place": place,
            "key": one.key,
            "name": short(settled(one.name), NAME_LENGTH_MAX) or "file",
            "media_type": one.media_type,
            "data": one.data,
            "why": short(settled(one.why), WHY_LENGTH_MAX),
        }
        await tx.execute(_ADD, values)


async def copy(tx: Transaction, delivery: UUID, *, prompt: UUID) -> None:
    """Keep with a delivery what came with an earlier prompt."""
    await tx.execute(_COPY, {"delivery": delivery, "prompt": prompt})


async def of_prompt(tx: Transaction, prompt: UUID) -> Sequence[Attached]:
    """What came with a prompt, in the order in which it came."""
    rows = (await tx.execute(_OF_PROMPT, {"prompt": prompt})).mappings()
    return [Attached(**row) for row in rows]
