"""Reminders from a conversation: setting one, what the buttons below it do, and posting it.

remind … ─▶ what was understood, with buttons ─▶ yes ─▶ due ─▶ the reply, or an answer
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.chat.port import Button
from bot.automate import asking, quiet, reminders
from bot.automate.reminders import New
from bot.conversation import commands, reminder_words
from bot.conversation.message import IncomingMessage
from bot.errors import Refused
from bot.govern import languages
from bot.govern.access import Standing
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import UTC_ZONE, Message, moment, speaking, spoken
from bot.words.catalogue import gettext as _
from bot.words.reminding import IN_TEN_MINUTES
from scheduler.rules import Once
from scheduler.when import Unclear, first_part, last_part

_NOTIFY = text(
    """
    SELECT identity.external_id FROM identity
     WHERE identity.surface = :surface
       AND (identity.person_id = :person OR lower(identity.name) = lower(:name))
     ORDER BY identity.external_id LIMIT 2
    """
)
_ROOT = text(
    """
    INSERT INTO thread (id, session_id, surface, place, language, replied_to)
    SELECT :id, session.id, :surface, :place, :language, session.event_last
      FROM session WHERE session.id = :session
    ON CONFLICT (surface, place) DO UPDATE SET surface = excluded.surface
    RETURNING id
    """
)


@dataclass(frozen=True, kw_only=True)
class Here:
    """Where a reminder is set."""

    session_id: UUID
    thread_id: UUID
    project_id: UUID


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """What somebody is told of a reminder that they may want."""

    told: Message
    buttons: tuple[Button, ...]
    short: str


async def propose(
    tx: Transaction,
    message: IncomingMessage,
    who: Standing,
    asked: commands.Remind,
    here: Here,
) -> Proposed:
    """Keep a reminder until its author says yes. :raises Refused: it can't be understood"""
    zone = await _zone(tx, who.person_id)
    now = await reminders.now(tx)
    part = last_part if asked.behind else first_part
    try:
        reading = part(asked.words, now=now, zone=zone)
    except Unclear as unclear:
        raise asking.ask_back(unclear) from unclear
    what = asked.what_of(reading.rest)
    if not what:
        raise Refused(
            _("this says when and not what"), do=_("say it like `remind me tomorrow 9 to …`")
        )
    targets = await _targets(tx, message, who, asked.whom, here)
    new = New(
        creator_id=who.person_id,
        project_id=here.project_id,
        session_id=here.session_id,
        schedule=reading.schedule,
        said=reading.said,
        what=what,
        targets=tuple(targets),
        language=spoken().locale,
    )
    short = await reminders.add(tx, new)
    times = reading.schedule.next_times(now, reminder_words.NEXT_TIMES)
    with speaking(spoken().locale, reading.schedule.zone):
        told = reminder_words.understood(
            short,
            reading.said,
            what,
            times,
            zone=reading.schedule.zone,
            is_assumed=reading.is_assumed,
        )
    return Proposed(told=told, buttons=reminder_words.to_confirm(short), short=short)


async def obey(tx: Transaction, who: Standing, asked: commands.Reminders) -> Message:
    """Do what a command about reminders says. :raises TellPerson: it can't be done"""
    if asked.act == "list":
        return reminder_words.listed(await reminders.of_person(tx, who.person_id))
    row = await reminders.find(tx, asked.short, who.person_id, operator=who.operator)
    match asked.act:
        case "show":
            told = reminder_words.line(row._asdict())
        case "no" | "delete" | "stop":
            await reminders.delete(tx, row)
            told = _("The reminder {short} is gone.", short=row.short)
        case "pause":
            await reminders.pause(tx, row)
            told = _("Paused. `reminders resume {short}` lets it go on.", short=row.short)
        case "done":
            told = _("Done.")
        case "snooze":
            told = await _snooze(tx, row, asked.rest or IN_TEN_MINUTES)
        case "edit":
            told = await _edit(tx, row, asked.rest)
        case "yes" | "answer" | "resume":
            due = await reminders.start(tx, row, as_prompt=asked.act == "answer")
            told = _saved(row, due)
    return told


def _saved(row: Any, due: Any) -> Message:
    with speaking(spoken().locale, row.zone):
        return _(
            "Saved as {short}; it is due next at {at}. `reminders stop {short}` stops it.",
            short=row.short,
            at=moment(due),
        )


async def _snooze(tx: Transaction, row: Any, said: str) -> Message:
    reading = asking.read(said, now=await reminders.now(tx), zone=row.zone)
    rule = reading.schedule.rule
    if not isinstance(rule, Once):
        raise Refused(_("a reminder is put off to one time"), kept=_("nothing was changed"))
    await reminders.snooze(tx, row, rule.at, reading.said)
    with speaking(spoken().locale, row.zone):
        return _("I say it again at {at}.", at=moment(rule.at))


async def _edit(tx: Transaction, row: Any, said: str) -> Message:
    if said.casefold().startswith("quiet"):
        try:
            hours = quiet.read(said[len("quiet") :])
        except ValueError as error:
            raise Refused(
                _("these are no hours"), do=_("say it like `quiet 22:00-07:00` or `quiet off`")
            ) from error
        await reminders.be_quiet(tx, row, hours)
        if not hours:
            return _("There are no quiet hours.")
        return _("Nothing is posted from {hours}.", hours=hours)
    reading = asking.read(said, now=await reminders.now(tx), zone=row.zone)
    due = await reminders.reschedule(tx, row, reading.schedule, reading.said)
    return _saved(row, due)


async def _zone(tx: Transaction, person_id: UUID) -> str:
    return str((await languages.settings_of(tx, person_id))["zone"] or UTC_ZONE)


async def _targets(
    tx: Transaction, message: IncomingMessage, who: Standing, whom: str, here: Here
) -> Sequence[dict[str, str]]:
    """Where it is posted, and whom the post notifies. :raises Refused: nobody is known there"""
    if whom == "channel" or whom.startswith("#"):
        channel = message.channel if whom == "channel" else message.meant
        if not channel and whom.startswith("#"):
            raise Refused(
                _("I find no channel {name} that you are in", name=whom),
                kept=_("nothing was saved"),
                do=_("say `remind channel …` in that channel"),
            )
        return [{"thread": str(await _root(tx, message, channel, here.session_id))}]
    if whom == "here":
        return [{"thread": str(here.thread_id)}]
    name = whom.removeprefix("@") if whom.startswith("@") else ""
    person = None if name else who.person_id
    known = {"surface": message.surface, "person": person, "name": name}
    found = list((await tx.execute(_NOTIFY, known)).scalars())
    if name and len(found) != 1:
        raise Refused(_("I know nobody here who is called {name}", name=name))
    notify = message.asker if not name else str(found[0]).rpartition("/")[2]
    return [{"thread": str(here.thread_id), "notify": notify}]


async def _root(tx: Transaction, message: IncomingMessage, channel: str, session_id: UUID) -> UUID:
    """A thread whose posts stand in the channel itself."""
    if not channel:
        raise Refused(_("there is no channel here"), do=_("say `me` or `here` instead"))
    values = {
        "id": new_id(),
        "surface": message.surface,
        "place": f"{channel}/~{session_id}",
        "language": message.language,
        "session": session_id,
    }
    thread_id: UUID = (await tx.execute(_ROOT, values)).scalar_one()
    return thread_id
