"""Editing and deleting what was said: it changes a prompt as long as that still waits.

A message keeps its identity inside a prompt (`delivery.message_key`); what the agent will read is
put together from its messages when the turn begins.
"""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.conversation import commands
from bot.conversation.prompt_checks import check_length
from bot.store.states import PromptState
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.work import control
from bot.work.control import Actor
from bot.work.queue import Event, LockedSession, append_events, lock_session

_MESSAGE = text(
    """
    SELECT delivery.id, delivery.session_id, delivery.text,
           session.private_to IS NOT NULL AS is_private
      FROM delivery JOIN session ON session.id = delivery.session_id
     WHERE delivery.surface = :surface AND delivery.message_key = :key
       AND delivery.person_id = :person AND delivery.prompt_id IS NOT NULL
    """
)
_AUTHOR = text(
    """
    SELECT person.id, person.name FROM delivery JOIN person ON person.id = delivery.person_id
     WHERE delivery.surface = :surface AND delivery.message_key = :key
       AND delivery.prompt_id IS NOT NULL
    """
)
_PROMPT = text(
    """
    SELECT prompt.id, prompt.kind, prompt.state,
           (SELECT count(*) FROM delivery AS other WHERE other.prompt_id = prompt.id) AS messages
      FROM delivery JOIN prompt ON prompt.id = delivery.prompt_id
     WHERE delivery.id = :delivery
    """
)
_NEWER = text(
    """
    UPDATE delivery SET edited_at = :at
     WHERE id = :delivery AND (edited_at IS NULL OR edited_at < :at) RETURNING id
    """
)
_REWORD = text("UPDATE delivery SET text = :text WHERE id = :delivery")
_TAKE_OUT = text("UPDATE delivery SET prompt_id = NULL WHERE id = :delivery")


@dataclass(frozen=True, kw_only=True)
class Another:
    """An edit that leaves its prompt as it was."""

    prompt: UUID
    is_late: bool
    """Its turn has begun, or is over; else what it says now is for its author alone."""
    is_prompt: bool
    """What it says now could be asked as another one."""


class Amended(enum.Enum):
    """What became of an edit or a deletion."""

    DONE = "done"
    NOTHING = "nothing"
    """It was no prompt of theirs, or says the same."""
    TOO_LATE = "too late"
    """Its turn has begun, or is over: it can't be taken back."""
    NO_PROMPT = "no prompt"
    """What it says now is a command, or nothing: the prompt stays as it was."""


async def reword(
    tx: Transaction,
    *,
    surface: str,
    key: str,
    actor: Actor,
    said: str,
    mention: str,
    bytes_max: int,
    at: datetime | None = None,
) -> Amended | Another:
    """Let a message that waits say `said` instead.

    :param at: when it was edited: what comes after a newer edit changes nothing
    :raises TooLarge: it has more than `bytes_max` bytes
    """
    found = await _find(tx, surface, key, actor)
    if found is None or not await _is_newest(tx, found[1].id, at):
        return Amended.NOTHING
    session, message, prompt = found
    parsed = commands.parse(said.replace("\x00", "\ufffd"), mention)
    if isinstance(parsed, commands.Prompt) and parsed.text == message.text:
        return Amended.NOTHING
    if prompt.state != PromptState.QUEUED:
        again = isinstance(parsed, commands.Prompt) and not parsed.private
        return Another(prompt=prompt.id, is_late=True, is_prompt=again)
    if not isinstance(parsed, commands.Prompt) or parsed.kind != prompt.kind:
        return Amended.NO_PROMPT
    if parsed.private and not message.is_private:
        return Another(prompt=prompt.id, is_late=False, is_prompt=True)
    check_length(said, bytes_max, kept=_("it stays queued as it was"))
    await tx.execute(_REWORD, {"delivery": message.id, "text": parsed.text})
    await _tell(tx, session.id, prompt.id, actor, parsed.text)
    return Amended.DONE


async def author_of(tx: Transaction, *, surface: str, key: str) -> Actor | None:
    """Whose message it is that became a prompt, or a part of one; None: none did."""
    row = (await tx.execute(_AUTHOR, {"surface": surface, "key": key})).one_or_none()
    return None if row is None else Actor(id=row.id, name=row.name)


async def withdraw(tx: Transaction, *, surface: str, key: str, actor: Actor) -> Amended:
    """Take a message that waits back; with its last message the prompt goes."""
    found = await _find(tx, surface, key, actor)
    if found is None:
        return Amended.NOTHING
    session, message, prompt = found
    if prompt.state != PromptState.QUEUED:
        return Amended.TOO_LATE
    await tx.execute(_TAKE_OUT, {"delivery": message.id})
    if prompt.messages == 1:
        await control.drop(tx, session, prompt.id, actor, unsaid=True)
    else:
        await _tell(tx, session.id, prompt.id, actor, "")
    return Amended.DONE


async def _find(
    tx: Transaction, surface: str, key: str, actor: Actor
) -> tuple[LockedSession, Any, Any] | None:
    """The message and its prompt, with the session's row locked."""
    asked = {"surface": surface, "key": key, "person": actor.id}
    message = (await tx.execute(_MESSAGE, asked)).one_or_none()
    session = message and await lock_session(tx, message.session_id)
    if message is None or session is None:
        return None
    prompt = (await tx.execute(_PROMPT, {"delivery": message.id})).one_or_none()
    return None if prompt is None else (session, message, prompt)


async def _is_newest(tx: Transaction, delivery: UUID, at: datetime | None) -> bool:
    """Note when a message was edited; False: an edit that was made later came first."""
    if at is None:
        return True
    edited = await tx.execute(_NEWER, {"delivery": delivery, "at": at})
    return edited.one_or_none() is not None


async def _tell(tx: Transaction, session_id: UUID, prompt: UUID, by: Actor, said: str) -> None:
    body = {"prompt": prompt, "by": by.id, "name": by.name, "text": said}
    await append_events(tx, session_id, [Event(kind="prompt.reworded", body=body)])
