"""Where a post of ours stands, by what its surface calls it, and what is said about it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.chat.incoming import Said
from bot.conversation.message import IncomingMessage
from bot.store.database import Database

POST_PAUSES = (0.2, 0.5)
"""Seconds between looks for the post that somebody reacted to or answered."""

_POST = text(
    """
    SELECT thread.place FROM reply JOIN thread ON thread.id = reply.thread_id
     WHERE thread.surface = :surface AND reply.posted_ref = :ref
       AND starts_with(thread.place, :channel)
       AND substr(thread.place, length(:channel) + 1, 1) IN ('/', '#', '!') LIMIT 1
    """
)
_ABOUT = text(
    """
    SELECT thread.place, thread.place LIKE '%/~%' AS stands_alone
      FROM reply JOIN thread ON thread.id = reply.thread_id
      JOIN session ON session.id = thread.session_id
     WHERE thread.surface = :surface AND reply.posted_ref = :ref
       AND (starts_with(thread.place, :place || '~') OR starts_with(thread.place, :channel || '/~'))
       AND (session.private_to IS NULL OR session.private_to = :person AND :alone) LIMIT 1
    """
)
"""The post of another thread that is the same place to the surface, or of one in its channel."""
_NOTED = text(
    """
    SELECT EXISTS (SELECT FROM reply JOIN thread ON thread.id = reply.thread_id
                    WHERE thread.surface = :surface AND reply.posted_ref = :ref)
    """
)


async def place_of(database: Database, where: Mapping[str, str]) -> str | None:
    """The thread of one of our posts; people can be quicker than our note of having posted.

    :param where: {surface, channel, ref}
    """
    for pause in (*POST_PAUSES, None):
        async with database.begin() as tx:
            place: str | None = (await tx.execute(_POST, dict(where))).scalar_one_or_none()
        if place is not None or pause is None:
            return place
        await asyncio.sleep(pause)
    return None


async def about(
    database: Database, said: Said, message: IncomingMessage
) -> tuple[Said, IncomingMessage]:
    """Both as they are for the session whose post it is that was answered, or has the button.

    A target of a fleet talks in the fleet's thread, a reminder in a direct message: they are told
    apart by their posts alone. The commands of buttons below what stands in a channel, or in a
    direct message, name what they are about.
    """
    if not said.post:
        return said, message
    row = await _about(database, said, message.person_id)
    if row is None or (said.pressed and row.stands_alone):
        return said, message
    if row.place.startswith(f"{said.spot.place}~"):
        spot = replace(said.spot, place=row.place)
        return replace(said, spot=spot), replace(message, place=row.place)
    return said, replace(message, within=row.place)


async def _about(database: Database, said: Said, person_id: UUID) -> Any | None:
    """What the post is about; who answers one can be quicker than our note of having posted it."""
    where = {
        "surface": said.spot.surface,
        "ref": said.post,
        "place": said.spot.place,
        "channel": said.spot.channel,
        "person": person_id,
        "alone": said.spot.direct,
    }
    noted = {"surface": said.spot.surface, "ref": said.post}
    for pause in (*POST_PAUSES, None):
        row = (await database.run(_ABOUT, where)).one_or_none()
        if row is not None or pause is None or said.pressed:
            return row
        if (await database.run(_NOTED, noted)).scalar_one():
            return None
        await asyncio.sleep(pause)
    return None
