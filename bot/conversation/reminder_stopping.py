"""What people do to a reminder that somebody else has set: stop it, be done with it, put it off.

    creator, operator ─▶ it is gone
    somebody whom it notifies, or reaches alone ─▶ they get it no more
    somebody else where it is posted ─▶ not posted there any more, if they may write to its project

Who set it is told where they did, and a reminder that nobody gets any more is gone. It is put off
by the same people as it is stopped by, each for what is theirs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from adapters.forge.port import Permission
from bot.automate.reminders import reminder_rows
from bot.automate.reminders.silencing import Target, of_person, without_person, without_place
from bot.conversation import reminder_words
from bot.conversation.message import IncomingMessage
from bot.conversation.reminder_places import threads_of
from bot.conversation.saying import announce
from bot.govern.access import Standing
from bot.govern.rights import Rights
from bot.store.transaction import Transaction
from bot.words.catalogue import Message, speaking
from bot.words.catalogue import gettext as _

_CALLED = text(
    """
    SELECT split_part(surface, ':', 1) AS surface, external_id, name FROM identity
     WHERE person_id = :person
    """
)


async def stop(
    tx: Transaction, rights: Rights, who: Standing, message: IncomingMessage, short: str
) -> Message:
    """Stop a reminder for whoever asks for it, as far as they may.

    :raises NotFound: it is none that they set or get
    :raises NotPermitted: others get it here, and they may not write to its project
    :raises NotAsked: the forge has to be asked first
    """
    row = await reminder_rows.known(tx, short)
    if row is None:
        raise reminder_rows.none_of(short)
    if who.operator or row.creator_id == who.person_id:
        await reminder_rows.delete(tx, row)
        return _("The reminder {short} is gone.", short=row.short)
    there = await threads_of(tx, [target["thread"] for target in row.targets])
    called = await _called(tx, rights, who)
    left = without_person(row.targets, lambda target: _names(target, there, called))
    is_theirs = left is not None
    if left is None:
        left = without_place(row.targets, lambda target: _is_here(target, there, message))
        if left is None:
            raise reminder_rows.none_of(short)
        await rights.check(tx, who, row.project_id, Permission.WRITE)
    await _keep(tx, row, left)
    await _tell(tx, row, who, message, is_theirs=is_theirs, is_gone=not left)
    if is_theirs:
        return _("You get the reminder {short} no more.", short=row.short)
    return _("The reminder {short} is not posted here any more.", short=row.short)


async def got(
    tx: Transaction, rights: Rights, who: Standing, message: IncomingMessage, row: Any
) -> Sequence[Target]:
    """What of somebody else's reminder is for them to put off, or to be done with.

    :raises NotFound: they don't get it
    :raises NotPermitted: others get it here too, and they may not write to its project
    :raises NotAsked: the forge has to be asked first
    """
    there = await threads_of(tx, [target["thread"] for target in row.targets])
    called = await _called(tx, rights, who)
    theirs = of_person(row.targets, lambda target: _names(target, there, called))
    if theirs:
        return theirs
    here = [target for target in row.targets if _is_here(target, there, message)]
    if not here:
        raise reminder_rows.none_of(row.short)
    await rights.check(tx, who, row.project_id, Permission.WRITE)
    return here


async def _keep(tx: Transaction, row: Any, left: Sequence[dict[str, str]]) -> None:
    if left:
        await reminder_rows.aim(tx, row, left)
    else:
        await reminder_rows.delete(tx, row)


async def _tell(
    tx: Transaction,
    row: Any,
    who: Standing,
    message: IncomingMessage,
    *,
    is_theirs: bool,
    is_gone: bool,
) -> None:
    """Tell its creator, where they set it."""
    set_in = await threads_of(tx, [str(row.thread_id)] if row.thread_id else [])
    for thread in set_in.values():
        if (thread.surface, thread.place) == (message.surface, message.place):
            # What they are answered stands there.
            continue
        with speaking(row.language, row.zone):
            told = reminder_words.stopped(row, who.name, is_theirs=is_theirs, is_gone=is_gone)
        await announce(tx, thread.id, f"stopped:{row.short}:{message.delivery_key}", told)


async def _called(tx: Transaction, rights: Rights, who: Standing) -> Mapping[str, Sequence[str]]:
    """What somebody is called in posts, by surface: on forges that is their name."""
    found: dict[str, list[str]] = {}
    for row in await tx.execute(_CALLED, {"person": who.person_id}):
        name = row.name if row.surface in rights.forges else row.external_id.rpartition("/")[2]
        found.setdefault(row.surface, []).append(name)
    return found


def _names(
    target: Target, there: Mapping[str, Any], called: Mapping[str, Sequence[str]]
) -> Sequence[str]:
    thread = there.get(target["thread"])
    return called.get(thread.surface, ()) if thread is not None else ()


def _is_here(target: Target, there: Mapping[str, Any], message: IncomingMessage) -> bool:
    """Whether it is posted where something was said; nobody says anything in others' messages."""
    thread = there.get(target["thread"])
    if thread is None or thread.surface != message.surface or "alone" in target:
        return False
    is_channel = bool(message.channel) and target.get("channel") == message.channel
    return is_channel or thread.place == message.place
