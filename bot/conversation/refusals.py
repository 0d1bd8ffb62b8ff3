"""A reply that a surface doesn't take, for good: its session is told so, once.

    a reply fails ─▶ `notice` event with `thread` ─▶ the session's page, and every other thread

The notice is not posted in the thread that it is about: it would fail as well, and be told, and so
on. A thread that refuses one reply after the other for the same reason is told of at the first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from bot.conversation.attempt import ELSEWHERE
from bot.store.statements import load
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.work.queue import Event, append_events

SQL = load(Path(__file__).parent / "sql" / "outbox.sql")

ABOUT = "thread"
"""In the body of a notice: the id of the thread that it is about and not for."""


async def tell(tx: Transaction, reply_id: UUID, error: str) -> None:
    """Tell the session of a reply that just failed with `error`, if it does not know yet."""
    untold = {"id": reply_id, "error": error}
    row = (await tx.execute(SQL["untold"], untold)).one_or_none()
    if row is None:
        return
    why = error.removesuffix(ELSEWHERE)
    words = _(
        "A {surface} thread of this session did not get a reply: {why};"
        " the reply is on the session's page.",
        surface=row.surface,
        why=_(why),
    )
    notice = Event(kind="notice", body={"text": words, ABOUT: str(row.thread)})
    await append_events(tx, row.session, [notice])


def is_for(thread_id: UUID, body: Mapping[str, Any]) -> bool:
    """Whether a thread is told of the event with this body."""
    return body.get(ABOUT) != str(thread_id)
