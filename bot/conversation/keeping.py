"""Messages that are kept for a day, until somebody has said what is to become of them."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.chat.incoming import Attached
from bot.conversation.message import IncomingMessage
from bot.store.transaction import Transaction
from bot.work import quoting

KEPT_HOURS = 24

_PUT = text(
    """
    INSERT INTO parked (id, message) VALUES (:id, CAST(:message AS jsonb))
    ON CONFLICT DO NOTHING RETURNING id
    """
)
_GET = text(
    """
    SELECT message FROM parked
     WHERE id = :id AND created_at > now() - make_interval(hours => :hours)
    """
)
_EXPIRE = text("DELETE FROM parked WHERE created_at < now() - make_interval(hours => :hours)")


async def put(tx: Transaction, key: UUID, message: IncomingMessage) -> bool:
    """Keep a message under a key of its own; False: it is kept already."""
    row = {"id": key, "message": json.dumps(_kept(message))}
    return (await tx.execute(_PUT, row)).one_or_none() is not None


async def get(tx: Transaction, key: UUID) -> IncomingMessage | None:
    """The message under a key; None: it is not kept any more."""
    asked = {"id": key, "hours": KEPT_HOURS}
    row = (await tx.execute(_GET, asked)).scalar_one_or_none()
    return None if row is None else _restored(row)


async def expire(tx: Transaction) -> None:
    """Forget messages about which nobody said anything in time."""
    await tx.execute(_EXPIRE, {"hours": KEPT_HOURS})


def _kept(message: IncomingMessage) -> dict[str, Any]:
    """The message as JSON takes it; pure."""
    files = [{**asdict(one), "data": b64encode(one.data).decode()} for one in message.files]
    return {
        **asdict(message),
        "person_id": str(message.person_id),
        "quoted": quoting.kept(message.quoted),
        "files": files,
    }


def _restored(row: Mapping[str, Any]) -> IncomingMessage:
    """The message again; pure."""
    files = tuple(Attached(**{**one, "data": b64decode(one["data"])}) for one in row["files"])
    known = {
        "person_id": UUID(row["person_id"]),
        "quoted": quoting.restored(row["quoted"]),
        "files": files,
    }
    return IncomingMessage(**{**row, **known})
