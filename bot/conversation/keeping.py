"""A message as a row keeps it until somebody has chosen its project, and back; pure."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from adapters.chat.incoming import Attached
from bot.conversation.message import IncomingMessage
from bot.work import quoting


def kept(message: IncomingMessage) -> dict[str, Any]:
    """The message as JSON takes it."""
    files = [{**asdict(one), "data": b64encode(one.data).decode()} for one in message.files]
    return {
        **asdict(message),
        "person_id": str(message.person_id),
        "quoted": quoting.kept(message.quoted),
        "files": files,
    }


def restored(row: Mapping[str, Any]) -> IncomingMessage:
    """The message again."""
    files = tuple(Attached(**{**one, "data": b64decode(one["data"])}) for one in row["files"])
    known = {
        "person_id": UUID(row["person_id"]),
        "quoted": quoting.restored(row["quoted"]),
        "files": files,
    }
    return IncomingMessage(**{**row, **known})
