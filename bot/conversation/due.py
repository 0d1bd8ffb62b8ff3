"""How reminders that are due reach people: as replies, or as a prompt that is answered then."""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.automate.answering import asked_of_agent
from bot.conversation import reminder_words
from bot.conversation.inbox import Inbox
from bot.conversation.message import IncomingMessage
from bot.conversation.saying import post
from bot.store.database import Database
from bot.store.transaction import Transaction
from bot.words.catalogue import speaking

OWN_THREADS = frozenset({"slack", "discord", "terminal", "web", "api"})
"""Surfaces on which a second session can post to the place of another."""
_THREAD = text(
    """
    SELECT thread.surface, thread.place, project.name AS project
      FROM thread JOIN project ON project.id = :project WHERE thread.id = :thread
    """
)


class Due:
    """What `bot.automate.firings` acts by."""

    def __init__(self, database: Database, inbox: Inbox) -> None:
        """`inbox` takes what is to be answered."""
        self._database = database
        self._inbox = inbox

    async def post(self, tx: Transaction, row: Any) -> None:
        """Write the replies that say a reminder, once for each firing."""
        with speaking(row.language, row.zone):
            words = f"{row.what}\n\n{reminder_words.footer(row)}"
            buttons = reminder_words.of_firing(row.short)
            for target in row.targets:
                thread_id, key = UUID(target["thread"]), f"firing:{row.firing_id}"
                notify = target.get("notify", "")
                await post(tx, thread_id, key, words, buttons=buttons, notify=notify)

    async def tell(self, tx: Transaction, row: Any, why: str) -> None:
        """Say in its places why there is nothing."""
        with speaking(row.language, row.zone):
            words = reminder_words.not_said(row, why)
            for target in row.targets:
                await post(tx, UUID(target["thread"]), f"not:{row.firing_id}", words)

    async def prompt(self, row: Any) -> str:
        """Have it answered in a session of its own, once; why that can't be, or empty."""
        target = {"thread": UUID(row.targets[0]["thread"]), "project": row.project_id}
        thread = (await self._database.run(_THREAD, target)).one_or_none()
        if thread is None:
            return "thread"
        key, place = f"clock/{row.firing_id}", thread.place
        if thread.surface in OWN_THREADS:
            place = f"{place.partition('~')[0]}~{row.short}"
        accepted = await self._inbox.accept(
            IncomingMessage(
                surface=thread.surface,
                delivery_key=key,
                message_key=key,
                place=place,
                person_id=row.creator_id,
                project=thread.project,
                language=row.language,
                text=asked_of_agent(row),
            )
        )
        return accepted.text if accepted.verdict == "refused" else ""
