"""Words of our own to a thread: what a command was answered, and what nobody asked for just now."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from adapters.chat.port import Button
from adapters.chat.terminal import PULL_SURFACES
from bot.conversation.fences import marked, prose
from bot.conversation.refusals import ABOUT
from bot.store.database import OUTBOX
from bot.store.ids import new_id
from bot.store.statements import load
from bot.store.transaction import Transaction
from bot.words.catalogue import spoken
from bot.work.queue import Event, append_events

SQL = load(Path(__file__).parent / "sql" / "replies.sql")
_PULLED = text(
    """
    SELECT session_id FROM thread
     WHERE id = :thread AND surface = ANY(:pulled)
       AND NOT EXISTS (SELECT FROM reply WHERE thread_id = thread.id AND key = :key)
    """
)


async def say(tx: Transaction, thread_id: UUID, key: str, words: str) -> None:
    """Add a reply to the thread's outbox; once for each `key`, however often it is called."""
    await post(tx, thread_id, key, words)


async def post(
    tx: Transaction,
    thread_id: UUID,
    key: str,
    words: str,
    *,
    above: str = "",
    buttons: Sequence[Button] = (),
    notify: str = "",
    is_marked: bool = False,
) -> None:
    """The same with buttons below it, and people who are notified of it.

    :param above: what an agent says, in Markdown, above our words
    :param is_marked: `words` are Markdown
    """
    said = marked(words) if is_marked else prose(words)
    await tx.execute(
        SQL["put"],
        {
            "id": new_id(),
            "thread": thread_id,
            "turn": None,
            "kind": "notice",
            "key": key,
            "body": "\n".join(part for part in (marked(above), said) if part),
            "buttons": json.dumps([asdict(button) for button in buttons]),
            "notify": notify,
            "final": True,
            "live": "",
            "language": spoken().locale,
        },
    )
    tx.hint(OUTBOX)


async def announce(
    tx: Transaction,
    thread_id: UUID,
    key: str,
    words: str,
    *,
    above: str = "",
    buttons: Sequence[Button] = (),
    notify: str = "",
) -> None:
    """Post what nobody waits for, such as a reminder.

    Where posts are not sent anywhere, people read the events of the session: it is one of them.
    """
    asked = {"thread": thread_id, "key": key, "pulled": list(PULL_SURFACES)}
    session_id = await tx.scalar(_PULLED, asked)
    await post(tx, thread_id, key, words, above=above, buttons=buttons, notify=notify)
    if session_id is None:
        return
    said = "\n\n".join(part for part in (above, words) if part)
    # It stands in this thread already, and is for no other.
    place = {ABOUT: str(thread_id), "asked_in": str(thread_id)}
    await append_events(tx, session_id, [Event(kind="notice", body={"text": said, **place})])
