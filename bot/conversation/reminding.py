"""Reminders from a conversation: setting one, what the buttons below it do, and posting it.

remind … ─▶ what was understood, with buttons ─▶ yes ─▶ due ─▶ the reply, or an answer
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from adapters.chat.port import Button
from bot.automate.reminders import asking, quiet, reminder_rows
from bot.automate.reminders.putting_off import put_off
from bot.automate.reminders.reminder_rows import New
from bot.automate.reminders.silencing import Target
from bot.conversation import reminder_stopping, reminder_words
from bot.conversation.addressees import named
from bot.conversation.message import IncomingMessage
from bot.conversation.reading_along import Readers, Told
from bot.conversation.reminder_commands import Remind, Reminders
from bot.conversation.reminder_places import OF_CHANNEL, thread_at
from bot.errors import Refused
from bot.govern import languages
from bot.govern.access import Standing
from bot.govern.rights import Rights
from bot.store.transaction import Transaction
from bot.words.catalogue import UTC_ZONE, Message, moment, speaking, spoken
from bot.words.catalogue import gettext as _
from bot.words.reminding import CHANGED
from scheduler.local import is_zone
from scheduler.rules import Once
from scheduler.when import Unclear, first_part, last_part

TARGETS_MAX = 20
"""People and channels of one reminder."""


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
    asked: Remind,
    here: Here,
) -> Proposed:
    """Keep a reminder until its author says yes. :raises Refused: it can't be understood"""
    zone = await zone_of(tx, who.person_id)
    now = await reminder_rows.now(tx)
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
    only_changed = asked.compares(reading.rest)
    new = New(
        creator_id=who.person_id,
        project_id=here.project_id,
        session_id=here.session_id,
        thread_id=here.thread_id,
        only_changed=only_changed,
        schedule=reading.schedule,
        said=reading.said,
        what=what,
        targets=tuple(await _targets(tx, message, asked, here)),
        language=spoken().locale,
    )
    short = await reminder_rows.add(tx, new)
    times = reading.schedule.next_times(now, reminder_words.NEXT_TIMES)
    with speaking(spoken().locale, reading.schedule.zone):
        told = reminder_words.understood(
            short,
            reading.said,
            what,
            times,
            zone=reading.schedule.zone,
            is_assumed=reading.is_assumed,
            only_changed=only_changed,
        )
    buttons = reminder_words.to_confirm(short, only_changed=only_changed)
    return Proposed(told=told, buttons=buttons, short=short)


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
    return Told(text=reminder_words.listed(own if readers.is_read_by_all else rows), is_wide=True)


async def _shown(tx: Transaction, who: Standing, readers: Readers, short: str) -> Told:
    row = await reminder_rows.find(tx, short, who.person_id, operator=who.operator)
    is_own = readers.read(row.thread_id)
    readers.check(is_own=is_own)
    return Told(text=reminder_words.line(row._asdict()), is_wide=not is_own)


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
            told = await _snooze(tx, row, asked.rest, await _zone_of_row(tx, row), row.targets)
        case "edit":
            told = await _edit(tx, row, asked.rest)
        case "yes" | "answer" | "resume":
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
    reading = asking.read(said, now=await reminder_rows.now(tx), zone=zone)
    rule = reading.schedule.rule
    if not isinstance(rule, Once):
        raise Refused(_("a reminder is put off to one time"), kept=_("nothing was changed"))
    await put_off(tx, row, reading, rule.at, targets)
    with speaking(spoken().locale, zone):
        return _("I say it again at {at}.", at=moment(rule.at))


async def _edit(tx: Transaction, row: Any, said: str) -> Message:
    if said.casefold().startswith("quiet"):
        try:
            hours = quiet.read(said[len("quiet") :])
        except ValueError as error:
            raise Refused(
                _("these are no hours"), do=_("say it like `quiet 22:00-07:00` or `quiet off`")
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
    zone = await _zone_of_row(tx, row)
    reading = asking.read(said, now=await reminder_rows.now(tx), zone=zone)
    due = await reminder_rows.reschedule(tx, row, reading.schedule, reading.said)
    return _saved(row, due, zone)


async def zone_of(tx: Transaction, person_id: UUID) -> str:
    """IANA name of the zone in which a person's times are read."""
    return str((await languages.settings_of(tx, person_id))["zone"] or UTC_ZONE)


async def _zone_of_row(tx: Transaction, row: Any) -> str:
    """The zone in which a reminder's times are read; its creator's, where it is none any more."""
    return str(row.zone) if is_zone(row.zone) else await zone_of(tx, row.creator_id)


async def _targets(
    tx: Transaction, message: IncomingMessage, asked: Remind, here: Here
) -> Sequence[dict[str, str]]:
    """Where it is posted, each place once, and whom each post notifies.

    :raises Refused: somebody is not known there, or they are too many
    """
    if len(asked.whom) > TARGETS_MAX:
        raise Refused(
            _("a reminder is for at most {most} people and channels", most=TARGETS_MAX),
            kept=_("nothing was saved"),
        )
    found: dict[str, dict[str, str]] = {}
    for whom in asked.whom:
        one = await _target(tx, message, whom, here)
        known = found.setdefault(one["thread"], one)
        notified = [each.get("notify", "") for each in (known, one)]
        if "everybody" in one:
            known["everybody"] = one["everybody"]
        if any(notified):
            several = dict.fromkeys(",".join(notified).split(","))
            known["notify"] = ",".join(name for name in several if name)
    return list(found.values())


async def _target(
    tx: Transaction, message: IncomingMessage, whom: str, here: Here
) -> dict[str, str]:
    """One of them. :raises Refused: nobody is known there"""
    if whom == "channel" or whom.startswith("#"):
        # A repository has conversations, and no place beside them.
        here_too = "" if message.repository else message.channel
        channel = here_too if whom == "channel" else message.meant.get(whom, "")
        return _filled(thread=await _root(tx, message, channel, whom, here), channel=channel)
    if whom.startswith("@") and whom in message.meant:
        place = f"{message.meant[whom]}~{here.session_id}"
        surface, language = message.surface, message.language
        thread_id = await thread_at(tx, surface, place, here.session_id, language)
        return _filled(thread=thread_id, alone=await _account(tx, message, whom[1:]))
    notify = ""
    if whom.startswith("@"):
        notify = await _account(tx, message, whom[1:])
    elif whom == "me":
        notify = message.asker
    everybody = "yes" if whom == "here" else ""
    channel = message.channel
    return _filled(thread=here.thread_id, channel=channel, notify=notify, everybody=everybody)


def _filled(**known: Any) -> dict[str, str]:
    return {name: str(value) for name, value in known.items() if value}


async def _account(tx: Transaction, message: IncomingMessage, name: str) -> str:
    """Somebody as the surface calls them in a post. :raises Refused: not one is called so"""
    found = await named(tx, message.surface, name)
    if found is None:
        raise Refused(_("I know nobody here who is called {name}", name=name))
    # On forges people are notified by their names.
    return str(found.name if message.repository else found.external_id.rpartition("/")[2])


async def _root(
    tx: Transaction, message: IncomingMessage, channel: str, whom: str, here: Here
) -> UUID:
    """A thread whose posts stand in the channel itself. :raises Refused: there is none"""
    if not channel and whom.startswith("#"):
        raise Refused(
            _("I find no channel {name} that you are in", name=whom),
            kept=_("nothing was saved"),
            do=_("say `remind channel …` in that channel"),
        )
    if not channel:
        raise Refused(_("there is no channel here"), do=_("say `me` or `here` instead"))
    place = f"{channel}{OF_CHANNEL}{here.session_id}"
    return await thread_at(tx, message.surface, place, here.session_id, message.language)
