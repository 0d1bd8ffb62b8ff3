"""“Wrong project?”: what was asked is stopped and asked again, in a new session of the thread."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.chat.incoming import Said
from bot.conversation import material
from bot.conversation.drafts import WRONG
from bot.conversation.inbox import Inbox
from bot.conversation.message import Accepted, IncomingMessage
from bot.conversation.parking import Parking
from bot.store.database import Database

_FIRST = text(
    """
    SELECT prompt.id, prompt.kind, prompt.author_id, prompt.asker,
           string_agg(delivery.text, E'\n' ORDER BY delivery.event) AS text
      FROM thread JOIN prompt ON prompt.thread_id = thread.id
      JOIN delivery ON delivery.prompt_id = prompt.id
     WHERE thread.surface = :surface AND thread.place = :place
       AND prompt.session_id = thread.session_id
     GROUP BY prompt.id ORDER BY prompt.position LIMIT 1
    """
)


def is_asked(said: Said) -> bool:
    """Whether somebody pressed the button."""
    return said.pressed and not said.typed and said.text == WRONG.says


class Moving:
    """Moves a thread's first prompt to another project."""

    def __init__(self, database: Database, inbox: Inbox, parking: Parking) -> None:
        """`parking` asks for the project."""
        self._database = database
        self._inbox = inbox
        self._parking = parking

    async def move(self, said: Said, message: IncomingMessage) -> Accepted | None:
        """Stop the session of the thread and ask which project was meant; None: it is asked.

        A refusal to stop is a refusal to move. A delivery that comes again asks once.
        """
        async with self._database.begin() as tx:
            where = {"surface": message.surface, "place": message.place}
            first: Any = (await tx.execute(_FIRST, where)).one_or_none()
            found = None if first is None else await material.of_prompt(tx, first.id)
        stopped = await self._inbox.accept(replace(message, text="stop all"))
        # With nothing to stop there is still something to move.
        if found is None or (stopped.verdict == "refused" and not _is_idle(stopped)):
            return stopped
        await self._parking.ask(said, replace(_again(message, first), **found))
        return None


def _is_idle(stopped: Accepted) -> bool:
    return stopped.refusal is not None and stopped.refusal.code == "nothing_to_do"


def _again(message: IncomingMessage, first: Any) -> IncomingMessage:
    """The prompt as it was said, for a session of its own."""
    prompt_id: UUID = first.id
    words = f"!{first.text}" if first.kind == "command" else first.text
    key = f"moved/{prompt_id}"
    return replace(
        message,
        delivery_key=key,
        message_key=key,
        person_id=first.author_id,
        asker=first.asker,
        text=words,
        ref="",
        new=True,
    )
