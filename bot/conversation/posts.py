"""Where a post of ours stands, by what its surface calls it."""

import asyncio
from collections.abc import Mapping

from sqlalchemy import text

from bot.store.database import Database

POST_PAUSES = (0.2, 0.5)
"""Seconds between looks for the post that somebody reacted to."""

_POST = text(
    """
    SELECT thread.place FROM reply JOIN thread ON thread.id = reply.thread_id
     WHERE thread.surface = :surface AND reply.posted_ref = :ref
       AND starts_with(thread.place, :channel)
       AND substr(thread.place, length(:channel) + 1, 1) IN ('/', '#', '!') LIMIT 1
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
