"""Reads what was said in a thread of Discord before a message in it."""

import asyncio

import discord
import structlog

from adapters.chat.discord.reading import Reader
from adapters.chat.history import HISTORY_SECONDS, MESSAGES_MAX, bounded
from adapters.chat.incoming import Quoted, Said

log = structlog.get_logger(__name__)


async def before(reader: Reader, message: discord.Message, said: Said) -> tuple[Quoted, ...]:
    """What others said before `message`, which says `said`; () when it can't be read now.

    Elsewhere than in a thread that is at most the message that it replies to.
    """
    if not said.to_us or said.author.standing != "member" or said.spot.direct:
        return ()
    try:
        async with asyncio.timeout(HISTORY_SECONDS):
            messages = await _messages(message)
    except (discord.HTTPException, TimeoutError, OSError) as error:
        log.info("thread_not_read", channel=message.channel.id, why=str(error))
        return ()
    quoted = {one.id: reader.quoted(one) for one in messages if one.id < message.id}
    return bounded([found for _, found in sorted(quoted.items()) if found is not None])


async def _messages(message: discord.Message) -> list[discord.Message]:
    found = []
    if message.reference is not None and isinstance(message.reference.resolved, discord.Message):
        found.append(message.reference.resolved)
    thread = message.channel
    if isinstance(thread, discord.Thread):
        found += [one async for one in thread.history(before=message, limit=MESSAGES_MAX)]
        found += await _starter(thread)
    return found


async def _starter(thread: discord.Thread) -> list[discord.Message]:
    """The message under which the thread stands: it is in the channel, not in the thread."""
    parent = thread.parent
    if thread.starter_message is not None:
        return [thread.starter_message]
    if not isinstance(parent, discord.TextChannel):
        return []
    try:
        return [await parent.fetch_message(thread.id)]
    except discord.NotFound:
        # It stands for itself, or the message is deleted.
        return []
