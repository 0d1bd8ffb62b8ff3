"""Commands about reminders that are there, and what the buttons below them do."""

import re
from collections.abc import Sequence
from typing import Any

from bot.automate.reminders import asking, quiet, reminder_rows
from bot.automate.reminders.putting_off import put_off
from bot.automate.reminders.silencing import Target
from bot.conversation import reminder_stopping, reminder_words
from bot.conversation.message import IncomingMessage
from bot.conversation.reading_along import Readers, Told
from bot.conversation.reminder_commands import Reminders
from bot.errors import Refused
from bot.govern.access import Standing
from bot.govern.languages import zone_of
from bot.govern.rights import Rights
from bot.store.transaction import Transaction
from bot.words.amounts import short as shortened
from bot.words.catalogue import Message, moment, speaking, spoken, together
from bot.words.catalogue import gettext as _
from bot.words.reminding import CHANGED
from scheduler import due_rows, local
from scheduler.local import is_zone
from scheduler.rules import Once

_LASTING = re.compile(r"\d+ ?(?:m|min|minutes?|h|hours?|d|days?)", re.IGNORECASE)
"""How long one is put off."""
_SAYING = re.compile(r"say\s+(.+)", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r"[\"“„](.*)[\"”“]", re.DOTALL)


async def obey(
    tx: Transaction, rights: Rights, who: Standing, readers: Readers, asked: Reminders
) -> Told:
    """Do what a command about reminders says.

    :raises TellPerson: it can't be done
    :raises NotAsked: the forge has to be asked first
    """
    if asked.act == "list":
        return await _listed(tx, who, readers)
    if asked.act == "show":
        return await _shown(tx, who, readers, asked.short)
    return Told(text=await _done(tx, rights, who, readers.message, asked))


async def _listed(tx: Transaction, who: Standing, readers: Readers) -> Told:
    rows = await reminder_rows.of_person(tx, who.person_id)
    own = [row for row in rows if readers.read(row["thread_id"])]
    if readers.is_read_by_all and rows and not own:
        return Told(text=_("None of your reminders was set here; the web page has all of them."))
    with speaking(spoken().locale, await zone_of(tx, who.person_id)):
        told = reminder_words.listed(own if readers.is_read_by_all else rows)
    return Told(text=told, is_wide=True)


async def _shown(tx: Transaction, who: Standing, readers: Readers, short: str) -> Told:
    row = await reminder_rows.find(tx, short, who.person_id, operator=who.operator)
    is_own = readers.read(row.thread_id)
    readers.check(is_own=is_own)
    with speaking(spoken().locale, await zone_of(tx, who.person_id)):
        told = reminder_words.line(row._asdict())
    return Told(text=told, is_wide=not is_own)


async def _done(
    tx: Transaction, rights: Rights, who: Standing, message: IncomingMessage, asked: Reminders
) -> Message:
    """Do something about a reminder. :raises TellPerson: it can't be done"""
    if asked.act == "stop":
        return await reminder_stopping.stop(tx, rights, who, message, asked.short)
    if asked.act in {"done", "snooze"}:
        row = await reminder_rows.known(tx, asked.short)
        if row is not None and not (who.operator or row.creator_id == who.person_id):
            targets = await reminder_stopping.got(tx, rights, who, message, row)
            zone = await zone_of(tx, who.person_id)
            is_done = asked.act == "done"
            return _("Done.") if is_done else await _snooze(tx, row, asked.rest, zone, targets)
    return await change(tx, who, asked)


async def change(tx: Transaction, who: Standing, asked: Reminders) -> Message:
    """Do something about a reminder of theirs. :raises TellPerson: it can't be done"""
    row = await reminder_rows.find(tx, asked.short, who.person_id, operator=who.operator)
    match asked.act:
        case "no" | "delete" | "stop":
            await reminder_rows.delete(tx, row)
            told = _("The reminder {short} is gone.", short=row.short)
        case "pause" if row.state == "ended":
            raise Refused(_("the time of this reminder has passed"), kept=_("nothing was changed"))
        case "pause":
            await reminder_rows.pause(tx, row)
            told = _("Paused. `reminders resume {short}` lets it go on.", short=row.short)
        case "done":
            told = _("Done.")
        case "snooze":
            told = await _snooze(tx, row, asked.rest, await zone_of_row(tx, row), row.targets)
        case "edit":
            told = await _edit(tx, row, asked.rest)
        case "yes" | "answer" | "resume":
            if not row.creator_active:
                await reminder_rows.take_over(tx, row, who.person_id)
            due = await reminder_rows.start(tx, row, as_prompt=asked.act == "answer")
            told = _saved(row, due, row.zone)
    return told


def _saved(row: Any, due: Any, zone: str) -> Message:
    with speaking(spoken().locale, zone):
        return _(
            "Saved as {short}; it is due next at {at}. `reminders stop {short}` stops it.",
            short=row.short,
            at=moment(due),
        )


async def _snooze(
    tx: Transaction, row: Any, said: str, zone: str, targets: Sequence[Target]
) -> Message:
    if not said:
        return _("Say when: `reminders snooze {short} friday 16:00`.", short=row.short)
    lasting = f"in {said}" if _LASTING.fullmatch(said) else said
    reading = asking.read(lasting, now=await due_rows.now(tx), zone=zone)
    rule = reading.schedule.rule
    if not isinstance(rule, Once):
        raise Refused(_("a reminder is put off to one time"), kept=_("nothing was changed"))
    await put_off(tx, row, reading, rule.at, targets)
    at = quiet.ends(row.quiet, rule.at, local.zone_of(reading.schedule.zone)) or rule.at
    with speaking(spoken().locale, zone):
        return _("I say it again at {at}.", at=moment(at))


async def _edit(tx: Transaction, row: Any, said: str) -> Message:
    if said.casefold().startswith("quiet"):
        try:
            hours = quiet.read(said[len("quiet") :])
        except ValueError as error:
            raise Refused(
                _("these are no hours"),
                kept=_("nothing was changed"),
                do=_(
                    "say it like `reminders edit {short} quiet 22:00-07:00`, or"
                    " `reminders edit {short} quiet off`",
                    short=row.short,
                ),
            ) from error
        await reminder_rows.be_quiet(tx, row, hours)
        if not hours:
            return _("There are no quiet hours.")
        return _("Nothing is posted from {hours}.", hours=hours)
    if (only := CHANGED.get(" ".join(said.casefold().split()))) is not None:
        await reminder_rows.only_when_changed(tx, row, only=only)
        if only:
            return _("Nothing is posted while its answer stays the same.")
        return _("It is posted each time.")
    if saying := _SAYING.fullmatch(said):
        quoted = _QUOTED.fullmatch(saying[1].strip())
        what = (quoted[1] if quoted else saying[1]).strip()
        await reminder_rows.say_otherwise(tx, row, what)
        return _("It says: {what}", what=shortened(what, reminder_words.SHOWN_LENGTH_MAX))
    return await _at_another_time(tx, row, said)


async def _at_another_time(tx: Transaction, row: Any, said: str) -> Message:
    zone = await zone_of_row(tx, row)
    reading = asking.read(said, now=await due_rows.now(tx), zone=zone)
    due = await reminder_rows.reschedule(tx, row, reading.schedule, reading.said)
    saved = _saved(row, due, zone)
    if reminder_rows.rests(row):
        waits = row.why == reminder_rows.UNCONFIRMED
        saved = reminder_words.rests(
            row.short, due, waits=waits, zone=zone, only_changed=row.only_changed
        )
    return together(saved, _(reminder_words.ASSUMED)) if reading.is_assumed else saved


async def zone_of_row(tx: Transaction, row: Any) -> str:
    """The zone in which a reminder's times are read; its creator's, where it is none any more."""
    return str(row.zone) if is_zone(row.zone) else await zone_of(tx, row.creator_id)
