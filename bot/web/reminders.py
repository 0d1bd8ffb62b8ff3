"""Reminders as pages and the API work with them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.forge.port import Permission
from bot.automate.reminders import asking, reminder_rows
from bot.automate.reminders.reminder_rows import New
from bot.conversation import commands, reminder_obeying, threads
from bot.conversation.meant import meant
from bot.conversation.message import IncomingMessage
from bot.conversation.reminder_aims import Aim, ReminderAims, targets
from bot.conversation.reminder_commands import ReminderAct, Reminders
from bot.conversation.reminding import Here
from bot.govern import languages
from bot.govern.access import Act
from bot.govern.agents import agents_for_people
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.web.services import Services
from bot.web.shapes_reminders import NewReminder, ReminderChanges
from bot.web.visitor import Visitor
from bot.words.catalogue import SOURCE, UTC_ZONE
from scheduler import due_rows
from scheduler.schedule import Misfire

SURFACE = "web"
NEXT_TIMES = 3
_MISFIRE: Mapping[str, Misfire] = {"once": "late", "skip": "skip"}


async def listed(
    visitor: Visitor, services: Services, *, everyone: bool = False
) -> list[dict[str, Any]]:
    """The visitor's, what is due next first, each with its next three times.

    :param everyone: those of others too; :raises Refused: only operators see them
    """
    visitor.require(Act.HALT if everyone else Act.SEE)
    async with services.database.begin() as tx:
        now = await due_rows.now(tx)
        rows = await reminder_rows.of_person(tx, None if everyone else visitor.id)
        return [_shown(row, now) for row in rows]


async def show(visitor: Visitor, services: Services, short: str) -> dict[str, Any]:
    """One of them. :raises NotFound: they have none of that name"""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        row = await reminder_rows.find(tx, short, visitor.id, operator=visitor.standing.operator)
        return _shown(row._asdict(), await due_rows.now(tx))


async def add(visitor: Visitor, services: Services, wanted: NewReminder) -> dict[str, Any]:
    """Set one, unless it is only to be tried; without `to` it is posted in a session's thread here.

    :raises Refused: not such a time, or whom it is for is not there for its creator
    """
    visitor.require(Act.PROMPT)
    aims = await ReminderAims(services.database, services.ports).find(visitor.id, wanted.to)

    async def once() -> dict[str, Any]:
        async with _tried(services, keep=not wanted.dry_run) as tx:
            short, is_assumed = await _add(tx, visitor, services, wanted, aims)
            row = await reminder_rows.find(tx, short, visitor.id)
            shown = _shown(row._asdict(), await due_rows.now(tx))
            return {**shown, "time_assumed": is_assumed, "to": wanted.to}

    shown = await services.rights.settled(once)
    # What was only tried has no name, and its session was not opened.
    return {**shown, "reminder": "", "session": wanted.session} if wanted.dry_run else shown


async def _add(
    tx: Transaction,
    visitor: Visitor,
    services: Services,
    wanted: NewReminder,
    aims: Sequence[Aim],
) -> tuple[str, bool]:
    if wanted.only_changed and not wanted.answer:
        raise asking.only_answers_change()
    zone = str((await languages.settings_of(tx, visitor.id))["zone"] or UTC_ZONE)
    reading = asking.read(wanted.when, now=await due_rows.now(tx), zone=wanted.zone or zone)
    key = f"reminder/{new_id()}"
    message = IncomingMessage(
        surface=SURFACE,
        delivery_key=key,
        message_key=key,
        place=key,
        person_id=visitor.id,
        text=wanted.what,
        session=wanted.session,
        project=wanted.project,
    )
    found = await threads.find(tx, message) if wanted.session else None
    if found is None:
        prompt, agents = commands.Prompt(text=wanted.what), agents_for_people(services.settings)
        choosing = partial(meant, services.rights, visitor.standing)
        found = await threads.open_session(
            tx, message, visitor.actor, prompt, agents, choosing=choosing
        )
    project_id = await threads.project_of(tx, found.session_id)
    await services.rights.check(tx, visitor.standing, project_id, Permission.READ)
    in_thread = {"thread": str(found.thread_id)}
    here = Here(session_id=found.session_id, thread_id=found.thread_id, project_id=project_id)
    new = New(
        creator_id=visitor.id,
        project_id=project_id,
        session_id=found.session_id,
        thread_id=found.thread_id,
        schedule=replace(reading.schedule, misfire=_MISFIRE[wanted.if_missed]),
        said=reading.said,
        what=wanted.what,
        targets=tuple(await targets(tx, aims, here, SOURCE)) or (in_thread,),
        language=SOURCE,
        is_prompt=wanted.answer,
        only_changed=wanted.only_changed,
        is_confirmed=True,
    )
    return await reminder_rows.add(tx, new), reading.is_assumed


async def change(
    visitor: Visitor, services: Services, short: str, changes: ReminderChanges
) -> dict[str, Any]:
    """Give it another time, words or quiet hours, or post it otherwise; all of that or nothing.

    :returns: what it is then, also if that was only to be tried
    :raises Refused: these can't be read, or it can't be so
    """
    visitor.require(Act.PROMPT)
    async with _tried(services, keep=not changes.dry_run) as tx:
        who = visitor.standing
        row = await reminder_rows.find(tx, short, who.person_id, operator=who.operator)
        is_assumed = await _is_assumed(tx, row, changes.when)
        for said in _said(changes):
            edit = Reminders(act="edit", short=short, rest=said)
            await reminder_obeying.change(tx, who, edit)
        if changes.what is not None:
            await reminder_rows.say_otherwise(tx, row, changes.what)
        row = await reminder_rows.find(tx, short, who.person_id, operator=who.operator)
        shown = _shown(row._asdict(), await due_rows.now(tx))
        return {**shown, "time_assumed": is_assumed}


async def _is_assumed(tx: Transaction, row: Any, said: str | None) -> bool:
    """Whether these words are a time without one of the day. :raises Refused: they are none"""
    if said is None:
        return False
    zone = await reminder_obeying.zone_of_row(tx, row)
    return asking.read(said, now=await due_rows.now(tx), zone=zone).is_assumed


def _said(changes: ReminderChanges) -> list[str]:
    """The same as what is said in a conversation."""
    said = [] if changes.when is None else [changes.when]
    if changes.quiet is not None:
        said.append(f"quiet {changes.quiet}")
    if changes.only_changed is not None:
        said.append("changed on" if changes.only_changed else "changed off")
    return said


async def act(
    visitor: Visitor,
    services: Services,
    short: str,
    word: ReminderAct,
    rest: str = "",
    *,
    keep: bool = True,
) -> str:
    """Do what the same command does in a conversation, and what is said of it.

    :param keep: else nothing is done, and what would be said is returned
    """
    visitor.require(Act.PROMPT)
    asked = Reminders(act=word, short=short, rest=rest)
    async with _tried(services, keep=keep) as tx:
        return await reminder_obeying.change(tx, visitor.standing, asked)


class _NotKept(Exception):
    """Takes a transaction back."""


@asynccontextmanager
async def _tried(services: Services, *, keep: bool) -> AsyncIterator[Transaction]:
    """A transaction that is taken back at its end unless it is to be kept."""
    with suppress(_NotKept):
        async with services.database.begin() as tx:
            yield tx
            if not keep:
                raise _NotKept


def _shown(row: dict[str, Any], now: Any) -> dict[str, Any]:
    return {
        "reminder": row["short"],
        "state": row["state"],
        "why": row["why"],
        "when": row["said"],
        "zone": row["zone"],
        "what": row["what"],
        "answer": row["is_prompt"],
        "only_changed": row["only_changed"],
        "by_agent": row["by_agent"],
        "quiet": row["quiet"],
        "project": row["project"],
        "session": row["session"],
        "by": row["creator"],
        "next": _next(row, now) if row["state"] == "active" else [],
    }


def _next(row: dict[str, Any], now: Any) -> list[Any]:
    try:
        schedule = due_rows.schedule_of(_Row(row))
    except ValueError:
        # Its zone is none any more: that is told when it is due.
        return [row["due_at"]]
    return [row["due_at"], *schedule.next_times(max(row["due_at"], now), NEXT_TIMES - 1)]


class _Row:
    """A mapping whose values are attributes."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.__dict__.update(row)
