"""Automations from a conversation: listing, running, pausing and resuming them.

A run begins outside of any transaction, because code hosts are asked what it works on: `ToBegin`
leaves the one of the message, the inbox begins the run, known by the message's key, and decides
about the message again, with what came of it.
"""

from dataclasses import dataclass
from uuid import UUID

from bot.automate import automation_rows, automations, trigger_words
from bot.automate.automations import By
from bot.automate.runs.beginning import Beginning, Begun, Cause
from bot.conversation import commands
from bot.conversation.message import IncomingMessage
from bot.conversation.reading_along import Readers, Told
from bot.errors import OnaError
from bot.govern.access import Standing
from bot.govern.audit import Audited, Source, record
from bot.govern.rights import Rights
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.catalogue import ngettext, together

LISTED_MAX = 30
"""In one message; the page has all."""


class ToBegin(Exception):
    """A run has to begin before the message can be answered."""

    def __init__(self, automation_id: UUID, person_id: UUID) -> None:
        super().__init__(str(automation_id))
        self.automation_id = automation_id
        self.person_id = person_id


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks, where, and what they may."""

    who: Standing
    surface: str
    rights: Rights

    @property
    def by(self) -> By:
        """As automations want them."""
        return By(who=self.who, source=Source.of(self.who, self.surface), rights=self.rights)


async def begin(beginning: Beginning | None, wanted: ToBegin, message: IncomingMessage) -> Begun:
    """Begin a run, the same one however often the message comes."""
    if beginning is None:
        return Begun(why="nowhere", told=_("Runs can't be begun from here."))
    key = f"message/{message.surface}/{message.message_key}"
    try:
        cause = Cause(kind="person", key=key, started_by=wanted.person_id)
        return await beginning.begin(wanted.automation_id, cause)
    except OnaError as error:
        return Begun(why="failed", told=_("No run has begun: {problem}.", problem=error.happened))


async def obey(
    tx: Transaction,
    asker: Asker,
    readers: Readers,
    asked: commands.Automations,
    begun: Begun | None,
) -> Told:
    """Do what a command about automations says.

    :param begun: the run that was begun for it
    :raises TellPerson: it can't be done
    :raises NotAsked: a forge has to be asked first
    :raises ToBegin: a run has to begin first
    """
    if asked.act == "list":
        return await _listed(tx, asker, readers)
    row = await automation_rows.find(tx, asked.name)
    match asked.act:
        case "pause":
            return Told(text=await automations.pause(tx, asker.by, row))
        case "resume":
            return Told(text=await automations.resume(tx, asker.by, row))
    await automations.require_write(tx, asker.by, row.project_id)
    if begun is None:
        raise ToBegin(row.id, asker.who.person_id)
    if begun.run_id is not None:
        event = Audited(
            kind="automation.run",
            by=asker.by.source,
            place=f"{row.project}/{row.name}",
            project_id=row.project_id,
            body={"run": begun.short},
        )
        await record(tx, event)
    return Told(text=begun.told)


async def _listed(tx: Transaction, asker: Asker, readers: Readers) -> Told:
    rows = await automation_rows.listed(tx)
    levels = await asker.rights.levels(tx, asker.who, {row["project_id"] for row in rows})
    seen = [row for row in rows if levels[row["project_id"]].reads]
    if readers.is_read_by_all:
        own = await readers.own(tx, {row["project_id"] for row in seen})
        seen = [row for row in seen if row["project_id"] in own]
    told = trigger_words.listed(seen[:LISTED_MAX])
    if len(seen) > LISTED_MAX:
        more = ngettext(
            "{count} more is on the page Automations.",
            "{count} more are on the page Automations.",
            len(seen) - LISTED_MAX,
        )
        told = together(told, more, by="\n")
    return Told(text=told, is_wide=True)
