"""Words of our own to a thread, outside of a session's events: what a command was answered."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from adapters.chat.port import Button
from bot.conversation.fences import marked, prose
from bot.store.database import OUTBOX
from bot.store.ids import new_id
from bot.store.statements import load
from bot.store.transaction import Transaction
from bot.words.catalogue import spoken

SQL = load(Path(__file__).parent / "sql" / "replies.sql")


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
