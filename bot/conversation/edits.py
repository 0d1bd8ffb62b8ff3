"""What an edit or a deletion of a message does to its prompt, and what its author hears of that."""

from sqlalchemy import text

from adapters.chat.incoming import Reworded, Withdrawn
from adapters.chat.port import Button
from adapters.forge.port import Permission
from bot.conversation import amending
from bot.conversation.amending import Amended
from bot.conversation.hints import Hints
from bot.conversation.inbox import Inbox
from bot.errors import NotPermitted, TooLarge
from bot.govern.people import standing_of
from bot.store.database import Database
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.words.sentences import sentence
from bot.work.control import Actor

AGAIN = N_("Run again with the edit")

_PROJECT = text(
    """
    SELECT session.project_id FROM delivery JOIN session ON session.id = delivery.session_id
     WHERE delivery.surface = :surface AND delivery.message_key = :key
       AND delivery.prompt_id IS NOT NULL
    """
)

_AUTHOR = text(
    """
    SELECT person.id, person.name FROM delivery JOIN person ON person.id = delivery.person_id
     WHERE delivery.surface = :surface AND delivery.message_key = :key
       AND delivery.prompt_id IS NOT NULL
    """
)


class Edits:
    """Amends prompts for those who still may prompt."""

    def __init__(self, database: Database, inbox: Inbox, hints: Hints, *, mention: str) -> None:
        """`mention` is what people call us; what `inbox` takes may be said by an edit, too."""
        self._database = database
        self._rights = inbox.rights
        self._bytes_max = inbox.prompt_bytes_max
        self._hints = hints
        self._mention = mention

    async def take(self, heard: Reworded | Withdrawn, actor: Actor) -> None:
        """Change what waits; of what has begun, offer the author to ask again."""
        if isinstance(heard, Withdrawn):
            await self._withdrawn(heard, actor)
            return
        try:
            await self._check(heard, actor)
        except NotPermitted:
            await self._hints.whisper(
                heard, _("You may not prompt here any more: nothing changed.")
            )
            return
        try:
            await self._reworded(heard, actor)
        except TooLarge as refusal:
            await self._hints.whisper(heard, sentence(str(refusal)))

    async def gone(self, heard: Withdrawn) -> None:
        """Take back what waits of a message of which the surface knows no author any more."""
        asked = {"surface": heard.spot.surface, "key": heard.key}
        row = (await self._database.run(_AUTHOR, asked)).one_or_none()
        if row is not None:
            await self._withdrawn(heard, Actor(id=row.id, name=row.name))

    async def _check(self, heard: Reworded, actor: Actor) -> None:
        """:raises NotPermitted: the message could not be said any more"""
        asked = {"surface": heard.spot.surface, "key": heard.key}
        async with self._database.begin() as tx:
            project_id = await tx.scalar(_PROJECT, asked)
            who = await standing_of(tx, actor.id)
        if project_id is not None:
            await self._rights.require(who, project_id, Permission.WRITE)

    async def _reworded(self, heard: Reworded, actor: Actor) -> None:
        async with self._database.begin() as tx:
            amended = await amending.reword(
                tx,
                surface=heard.spot.surface,
                key=heard.key,
                actor=actor,
                said=heard.text,
                mention=self._mention,
                bytes_max=self._bytes_max,
            )
        again = Button(label=_(AGAIN), says=heard.text)
        if amended is Amended.TOO_LATE:
            await self._hints.whisper(
                heard, _("It has started already, so the edit changes nothing."), again
            )
        elif amended is Amended.PRIVATE:
            await self._hints.whisper(
                heard, _("The edit is private: what you asked before stays queued here."), again
            )
        elif amended is Amended.NO_PROMPT:
            await self._hints.whisper(heard, _("The edit is no prompt: it stays queued as it was."))

    async def _withdrawn(self, heard: Withdrawn, actor: Actor) -> None:
        async with self._database.begin() as tx:
            amended = await amending.withdraw(
                tx, surface=heard.spot.surface, key=heard.key, actor=actor
            )
        if amended is Amended.TOO_LATE:
            await self._hints.whisper(heard, _("It has started already: `stop` ends it."))
