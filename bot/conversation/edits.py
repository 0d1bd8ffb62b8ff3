"""What an edit or a deletion of a message does to its prompt, and what its author hears of that.

it waits ─▶ changed; it runs or ran ─▶ parked, with a button for its author alone ─▶ asked, once
"""

import re
from dataclasses import replace
from uuid import UUID, uuid5

from sqlalchemy import text

from adapters.chat.incoming import Reworded, Withdrawn
from adapters.chat.port import Button
from adapters.forge.port import Permission
from bot.conversation import amending, keeping, material
from bot.conversation.amending import Amended, Another
from bot.conversation.hints import Hints
from bot.conversation.inbox import Inbox
from bot.conversation.message import IncomingMessage
from bot.errors import NotPermitted, TooLarge
from bot.govern.people import standing_of
from bot.store.database import Database
from bot.words.catalogue import N_, spoken
from bot.words.catalogue import gettext as _
from bot.words.sentences import sentence
from bot.work.control import Actor

AGAIN = N_("Run again with the edit")
_OURS = UUID("6f6e612d-6564-6974-8564-6d6573736167")
"""Namespace of the ids of parked edits."""
_PRESSED = re.compile(r"run again ([0-9a-f-]{36})")

_PROJECT = text(
    """
    SELECT session.project_id FROM delivery JOIN session ON session.id = delivery.session_id
     WHERE delivery.surface = :surface AND delivery.message_key = :key
       AND delivery.prompt_id IS NOT NULL
    """
)


class Edits:
    """Amends prompts for those who still may prompt."""

    def __init__(self, database: Database, inbox: Inbox, hints: Hints, *, mention: str) -> None:
        """`mention` is what people call us; what `inbox` takes may be said by an edit, too."""
        self._database = database
        self._inbox = inbox
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
        async with self._database.begin() as tx:
            actor = await amending.author_of(tx, surface=heard.spot.surface, key=heard.key)
        if actor is not None:
            await self._withdrawn(heard, actor)

    async def _check(self, heard: Reworded, actor: Actor) -> None:
        """:raises NotPermitted: the message could not be said any more"""
        asked = {"surface": heard.spot.surface, "key": heard.key}
        async with self._database.begin() as tx:
            project_id = await tx.scalar(_PROJECT, asked)
            who = await standing_of(tx, actor.id)
        if project_id is not None:
            await self._inbox.rights.require(who, project_id, Permission.WRITE)

    async def _reworded(self, heard: Reworded, actor: Actor) -> None:
        async with self._database.begin() as tx:
            amended = await amending.reword(
                tx,
                surface=heard.spot.surface,
                key=heard.key,
                actor=actor,
                said=heard.text,
                at=heard.at,
                mention=self._mention,
                bytes_max=self._inbox.prompt_bytes_max,
            )
        if isinstance(amended, Another):
            buttons = [await self._offer(heard, actor, amended)] if amended.is_prompt else []
            told = _("It has started already, so the edit changes nothing.")
            if not amended.is_late:
                told = _("The edit is private: what you asked before stays queued here.")
            await self._hints.whisper(heard, told, *buttons)
        elif amended is Amended.NO_PROMPT:
            await self._hints.whisper(heard, _("The edit is no prompt: it stays queued as it was."))

    async def _offer(self, heard: Reworded, actor: Actor, another: Another) -> Button:
        """Keep the edit for a day, and make a button that asks it where it was said."""
        spot = heard.spot
        parked = uuid5(_OURS, f"{spot.surface}/{heard.key}/{heard.text}")
        message = IncomingMessage(
            surface=spot.surface,
            delivery_key=f"again/{parked}",
            message_key=f"again/{parked}",
            place=spot.place,
            channel=spot.channel,
            within=spot.within,
            person_id=actor.id,
            text=heard.text,
            asker=heard.author.handle or heard.author.id,
            language=spoken().locale,
            told_in_thread=True,
        )
        async with self._database.begin() as tx:
            whole = replace(message, **await material.of_prompt(tx, another.prompt))
            await keeping.put(tx, parked, whole)
        return Button(label=_(AGAIN), says=f"run again {parked}")

    async def kept(self, parked: UUID, person_id: UUID) -> IncomingMessage | None:
        """A parked edit to be asked again; None: it is not theirs, or not kept any more."""
        async with self._database.begin() as tx:
            message = await keeping.get(tx, parked)
        if message is None or message.person_id != person_id:
            return None
        return message

    async def _withdrawn(self, heard: Withdrawn, actor: Actor) -> None:
        async with self._database.begin() as tx:
            amended = await amending.withdraw(
                tx, surface=heard.spot.surface, key=heard.key, actor=actor
            )
        if amended is Amended.TOO_LATE:
            await self._hints.whisper(heard, _("It has started already: `stop` ends it."))
        elif amended is Amended.NOTHING:
            await self._inbox.is_new(_unsaid(heard, actor))


def _unsaid(heard: Withdrawn, actor: Actor) -> IncomingMessage:
    """Noted in place of a message that may yet come: it was deleted, so it is asked no more."""
    return IncomingMessage(
        surface=heard.spot.surface,
        delivery_key=f"withdrawn/{heard.key}",
        message_key=heard.key,
        place=heard.spot.place,
        person_id=actor.id,
        text="",
    )


def pressed(says: str) -> UUID | None:
    """The parked edit that a button is about; None: it is another button. Pure."""
    found = _PRESSED.fullmatch(says)
    try:
        return UUID(found.group(1)) if found else None
    except ValueError:
        return None
