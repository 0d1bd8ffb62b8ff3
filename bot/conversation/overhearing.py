"""What is said in channels that automations watch, by people who did not mean us.

said, and not for us ─▶ may it count? (pure) ─▶ its channel's triggers ─▶ their filters ─▶ an event

Its words are never a prompt: they are facts of the event, which agents see as quoted material. Only
what begins a thread counts, so that nobody sets something off by answering.
"""

from typing import Any

import structlog
from sqlalchemy import text

from adapters.chat.incoming import Said
from bot.automate import notices, patterns
from bot.automate.definition import MessageOptions, MessageTrigger
from bot.automate.triggers import events
from bot.automate.triggers.events import Event
from bot.conversation.addressing import Hearing, ThreadFacts
from bot.store.database import Database
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

log = structlog.get_logger(__name__)

TEXT_LENGTH_MAX = 4_000
"""Of a message; what is behind that is neither searched nor kept."""
_WATCHING = text(
    """
    SELECT trigger.id, trigger.short, trigger.options, automation.id AS automation_id,
           automation.name, date_trunc('hour', now()) AS hour
      FROM automation_trigger AS trigger
      JOIN automation ON automation.id = trigger.automation_id
      JOIN project ON project.id = automation.project_id
     WHERE trigger.kind = 'message' AND trigger.match = ANY(:matches)
       AND automation.state = 'active' AND project.removed_at IS NULL
     ORDER BY trigger.id
    """
)


class Overhearing:
    """Tells automations of messages in the channels that they watch."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, said: Said, thread: ThreadFacts, hearing: Hearing) -> None:
        """Keep an event for each trigger that a message counts for, once."""
        if not may_count(said, thread, hearing):
            return
        async with self._database.begin() as tx:
            rows = (await tx.execute(_WATCHING, {"matches": matches_of(said)})).all()
            for row in rows:
                await _watched(tx, row, said)


def may_count(said: Said, thread: ThreadFacts, hearing: Hearing) -> bool:
    """Whether a message can set an automation off at all; pure.

    Not what is for us, nor what bots, guests or people of other organisations write, nor what is
    said to one person alone.
    """
    spot = said.spot
    is_ours = hearing in {Hearing.TAKE, Hearing.REFUSE} or said.to_us or said.pressed
    barred = said.author.standing != "member" or spot.shared or spot.foreign or spot.direct
    begins = bool(said.ref) and spot.place.rpartition("/")[2] == said.ref
    return not (is_ours or barred or thread.has_session) and begins and bool(spot.channel)


def matches_of(said: Said) -> list[str]:
    """What triggers are looked up by: the channel's whole address, and its own id alone; pure."""
    surface, channel = said.spot.surface, said.spot.channel
    return [f"{surface}:{channel}", f"{surface}:{channel.rpartition('/')[2]}"]


def counts(options: MessageOptions, words: str) -> bool:
    """Whether a trigger is about these words; pure."""
    words = words[:TEXT_LENGTH_MAX]
    folded = words.casefold()
    if options.contains and not any(one.casefold() in folded for one in options.contains):
        return False
    return not options.matches or patterns.compiled(options.matches).is_in(words)


async def _watched(tx: Transaction, row: Any, said: Said) -> None:
    try:
        options = MessageTrigger.model_validate(row.options).message
        if not counts(options, said.text):
            return
    except ValueError as error:
        # It was read when it was approved, by another version; the others hear all the same.
        log.warning("trigger_unreadable", trigger=row.short, error=str(error))
        return
    if await events.within_hour(tx, row.id) >= options.per_hour_max:
        words = _(
            "More than {most} messages within an hour were about {automation}: the others are left"
            " out. `per_hour_max` of its trigger sets another limit.",
            most=options.per_hour_max,
            automation=row.name,
        )
        await notices.put(tx, row.automation_id, f"full/{row.short}/{row.hour.isoformat()}", words)
        return
    await events.put(tx, _event(row, said))


def _event(row: Any, said: Said) -> Event:
    facts = {
        "text": said.text[:TEXT_LENGTH_MAX],
        "author": said.author.name,
        "channel": said.spot.channel,
        "surface": said.spot.surface,
    }
    about = f"{said.spot.surface}:{said.spot.place}"
    return Event(trigger_id=row.id, key=f"message/{said.key}", about=about, facts=facts)
