"""A reminder is set from a conversation: for whom, when and what, said back for a yes.

remind … ─▶ what was understood, with buttons ─▶ yes (`reminder_obeying`) ─▶ due (`due`)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from adapters.chat.port import Button
from bot.automate.reminders import asking, reminder_rows
from bot.automate.reminders.reminder_rows import New
from bot.conversation import reminder_words
from bot.conversation.addressees import named
from bot.conversation.message import IncomingMessage
from bot.conversation.reminder_commands import Remind
from bot.conversation.reminder_places import OF_CHANNEL, thread_at
from bot.errors import Refused
from bot.govern.access import Standing
from bot.govern.languages import zone_of
from bot.store.transaction import Transaction
from bot.words.catalogue import Message, speaking, spoken
from bot.words.catalogue import gettext as _
from scheduler import due_rows
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
    now = await due_rows.now(tx)
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


async def _targets(
    tx: Transaction, message: IncomingMessage, asked: Remind, here: Here
) -> Sequence[dict[str, str]]:
    """Where it is posted, each place once, and whom each post notifies.

    :raises Refused: somebody is not known there, or they are too many
    """
    check_count(asked.whom)
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


def check_count(whom: Sequence[str]) -> None:
    """:raises Refused: they are too many"""
    if len(whom) > TARGETS_MAX:
        raise Refused(
            _("a reminder is for at most {most} people and channels", most=TARGETS_MAX),
            kept=_("nothing was saved"),
        )


async def _target(
    tx: Transaction, message: IncomingMessage, whom: str, here: Here
) -> dict[str, str]:
    """One of them. :raises Refused: nobody is known there"""
    if whom == "channel" or whom.startswith("#"):
        # A repository has conversations, and no place beside them.
        here_too = "" if message.repository else message.channel
        channel = here_too if whom == "channel" else message.meant.get(whom, "")
        _check_channel(channel, whom)
        return await aimed_at_channel(tx, message.surface, channel, here, message.language)
    if whom.startswith("@") and whom in message.meant:
        account, place = await _account(tx, message, whom[1:]), message.meant[whom]
        language = message.language
        return await aimed_alone(tx, message.surface, place, here, language, account=account)
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


def _check_channel(channel: str, whom: str) -> None:
    """:raises Refused: there is none"""
    if not channel and whom.startswith("#"):
        raise Refused(
            _("I find no channel {name} that you are in", name=whom),
            kept=_("nothing was saved"),
            do=_("say `remind channel …` in that channel"),
        )
    if not channel:
        raise Refused(_("there is no channel here"), do=_("say `me` or `here` instead"))


async def aimed_at_channel(
    tx: Transaction, surface: str, channel: str, here: Here, language: str
) -> dict[str, str]:
    """What stands in a channel itself."""
    place = f"{channel}{OF_CHANNEL}{here.session_id}"
    thread_id = await thread_at(tx, surface, place, here.session_id, language)
    return _filled(thread=thread_id, channel=channel)


async def aimed_alone(
    tx: Transaction, surface: str, place: str, here: Here, language: str, *, account: str
) -> dict[str, str]:
    """What somebody reads alone, in our conversation with them."""
    own = f"{place}~{here.session_id}"
    thread_id = await thread_at(tx, surface, own, here.session_id, language)
    return _filled(thread=thread_id, alone=account)
