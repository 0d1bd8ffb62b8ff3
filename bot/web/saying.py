"""Turns what somebody typed into a page, a terminal or a program into one IncomingMessage."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from bot.conversation.message import Accepted, IncomingMessage
from bot.errors import Refused, TellPerson
from bot.store.ids import new_id
from bot.web.services import Services
from bot.web.visitor import Visitor

Surface = Literal["web", "api", "terminal"]


async def say(
    services: Services,
    visitor: Visitor,
    text: str,
    *,
    surface: Surface,
    key: str = "",
    session: str | None = None,
    project: str | None = None,
    thread: str | None = None,
    new: bool = False,
    checkout: Sequence[str] = (),
) -> Accepted:
    """Hand the text to the inbox.

    :param key: the same for every attempt to say the same; a person's own
    :param thread: the caller's name of the place where it is said; a person's own
    :raises TryAgain: nothing was accepted
    """
    unique = _digest(str(visitor.id), key or str(new_id()))
    place = session or _digest(str(visitor.id), thread or unique)
    return await services.inbox.accept(
        IncomingMessage(
            surface=surface,
            delivery_key=unique,
            message_key=unique,
            place=place,
            person_id=visitor.id,
            text=text,
            session=session or None,
            project=project or None,
            new=new,
            checkout=tuple(checkout),
        )
    )


def refusal(accepted: Accepted) -> TellPerson:
    """The error that a refused message is, whenever it is answered."""
    if accepted.refusal is not None:
        return accepted.refusal.error()
    return Refused(accepted.text.removesuffix("."))


def _digest(*parts: str) -> str:
    whole = "\x00".join(parts).encode("utf-8", "replace")
    return hashlib.sha256(whole).hexdigest()
