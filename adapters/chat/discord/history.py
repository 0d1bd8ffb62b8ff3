"""Reads what was said in a thread of Discord before a message in it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import discord
import structlog

from adapters.chat.discord.reading import Reader
from adapters.chat.files import FETCH_SECONDS, FileNotFetched, Ref, fetch, not_in_time
from adapters.chat.history import HISTORY_SECONDS, MESSAGES_MAX, bounded
from adapters.chat.incoming import Attached, Said

log = structlog.get_logger(__name__)


async def with_material(reader: Reader, message: discord.Message, said: Said) -> Said:
    """`said` with what was said before it and the files beside both, where it may be for us.

    Elsewhere than in a thread that is at most the message that it replies to.
    """
    follows = isinstance(message.channel, discord.Thread)
    if said.author.standing != "member":
        return said
    if not said.to_us and (said.to_others or not follows):
        return said
    before: list[discord.Message] = []
    if said.to_us and not said.spot.direct:
        before = await _before(message)
    found = {one.id: reader.quoted(one) for one in before if one.id < message.id}
    quoted = bounded([one for _, one in sorted(found.items()) if one is not None])
    taken = {one.key for one in quoted}
    newest_first = sorted({one.id: one for one in before}.items(), reverse=True)
    beside = [(said.key, message)]
    beside += [(str(one.id), one) for _, one in newest_first if str(one.id) in taken]
    return replace(said, quoted=quoted, files=await _files(beside))


async def _files(messages: Sequence[tuple[str, discord.Message]]) -> tuple[Attached, ...]:
    """What stands beside messages, each with its key."""
    refs = [
        Ref(key=key, name=file.filename, size=file.size, fetch=partial(_fetch, file))
        for key, message in messages
        for file in message.attachments
    ]
    if not refs:
        return ()
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            return await fetch(refs)
    except TimeoutError:
        return not_in_time(refs)


async def _fetch(file: discord.Attachment, _: int) -> bytes:
    """All of it; how large it is Discord has said."""
    try:
        return await file.read()
    except (discord.HTTPException, OSError) as error:
        raise FileNotFetched(f"Discord did not give it: {error}") from error


async def _before(message: discord.Message) -> list[discord.Message]:
    """What was said before; nothing when it can't be read now."""
    try:
        async with asyncio.timeout(HISTORY_SECONDS):
            return await _messages(message)
    except (discord.HTTPException, TimeoutError, OSError) as error:
        log.info("thread_not_read", channel=message.channel.id, why=str(error))
        return []


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
