"""The rows of reminders and of their schedules.

A new one waits for its creator's yes: until then its schedule is paused, and it is forgotten after
a day. Everything here is part of the caller's transaction.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.automate.reminders import asking
from bot.errors import NotFound, Refused
from bot.store import shorts
from bot.store.database import SCHEDULES
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from scheduler import due_rows, schedule_rows
from scheduler.schedule import Schedule

UNCONFIRMED = "unconfirmed"
"""Why the schedule of a new one is paused."""
KEPT_HOURS = 24
WHAT_LENGTH_MAX = 4_000
PER_PERSON_MAX = 500
LISTED_MAX = 200
_ADD = text(
    """
    INSERT INTO reminder (id, short, schedule_id, creator_id, project_id, session_id, thread_id,
                          what, is_prompt, only_changed, by_agent, said, targets, language, quiet,
                          snoozed_id)
    VALUES (:id, :short, :schedule, :creator, :project, :session, :thread, :what, :is_prompt,
            :only_changed, :by_agent, :said, CAST(:targets AS jsonb), :language, :quiet, :snoozed)
    """
)
_COUNT = text(
    """
    SELECT count(*) FROM reminder JOIN schedule ON schedule.id = reminder.schedule_id
     WHERE reminder.creator_id = :person AND schedule.state <> 'ended'
    """
)
_ROW = """
    SELECT reminder.id, reminder.short, reminder.creator_id, reminder.project_id,
           reminder.session_id, reminder.what, reminder.is_prompt, reminder.said,
           reminder.targets, reminder.quiet, reminder.language, reminder.created_at,
           reminder.only_changed, reminder.by_agent, reminder.thread_id,
           reminder.schedule_id, schedule.state, schedule.why, schedule.due_at, schedule.rule,
           schedule.zone, schedule.starts_at, schedule.ends_at, schedule.jitter_seconds,
           schedule.misfire, schedule.grace_seconds, person.name AS creator,
           person.deactivated_at IS NULL AS creator_active,
           project.name AS project, session.short AS session
      FROM reminder JOIN schedule ON schedule.id = reminder.schedule_id
      JOIN person ON person.id = reminder.creator_id
      JOIN project ON project.id = reminder.project_id
      LEFT JOIN session ON session.id = reminder.session_id
"""
_BY_SHORT = text(f"{_ROW} WHERE reminder.short = :short FOR UPDATE OF reminder, schedule")
_LIST = text(
    f"""
    {_ROW}
     WHERE (CAST(:person AS uuid) IS NULL OR reminder.creator_id = :person)
       AND schedule.state <> 'ended'
     ORDER BY schedule.due_at NULLS LAST, reminder.created_at LIMIT :limit
    """
)
_SAY = text("UPDATE reminder SET said = :said WHERE id = :id")
_SAY_OTHERWISE = text("UPDATE reminder SET what = :what, last_answer = '' WHERE id = :id")
_AS_PROMPT = text("UPDATE reminder SET is_prompt = true WHERE id = :id")
_ONLY_CHANGED = text("UPDATE reminder SET only_changed = :only WHERE id = :id")
_ANSWERED = text(
    "UPDATE reminder SET last_answer = :answer, answered_at = clock_timestamp() WHERE id = :id"
)
_TAKE_OVER = text("UPDATE reminder SET creator_id = :person WHERE id = :id")
_AIM = text("UPDATE reminder SET targets = CAST(:targets AS jsonb) WHERE id = :id")
_QUIET = text("UPDATE reminder SET quiet = :quiet WHERE id = :id")
_DELETE = text(
    """
    WITH RECURSIVE gone (id, schedule_id) AS (
        SELECT id, schedule_id FROM reminder WHERE id = :reminder
         UNION
        SELECT again.id, again.schedule_id
          FROM reminder AS again JOIN gone ON again.snoozed_id = gone.id)
    DELETE FROM schedule WHERE id IN (SELECT schedule_id FROM gone)
    """
)
_EXPIRE = text(
    """
    DELETE FROM schedule
     WHERE state = 'paused' AND why = :why AND created_at < now() - make_interval(hours => :hours)
    """
)


@dataclass(frozen=True, kw_only=True)
class New:
    """A reminder as somebody wants it."""

    creator_id: UUID
    project_id: UUID
    session_id: UUID | None
    thread_id: UUID | None = None
    """Where it is set."""
    schedule: Schedule
    said: str
    """The words of its time."""
    what: str
    targets: tuple[dict[str, str], ...]
    language: str
    is_prompt: bool = False
    only_changed: bool = False
    by_agent: bool = False
    quiet: str = ""
    snoozed_id: UUID | None = None
    is_confirmed: bool = False


async def add(tx: Transaction, new: New) -> str:
    """Keep a reminder; its short id. :raises Refused: it is too long, or they have too many"""
    _check_length(new.what)
    if int(await tx.scalar(_COUNT, {"person": new.creator_id})) >= PER_PERSON_MAX:
        raise Refused(
            _("you have {most} reminders, and no more fit", most=PER_PERSON_MAX),
            kept=_("nothing was saved"),
            do=_("delete some: `reminders` lists them"),
        )
    schedule_id = new_id()
    paused = "" if new.is_confirmed else UNCONFIRMED
    await schedule_rows.add(tx, schedule_id, new.schedule, await due_rows.now(tx), paused=paused)
    tx.hint(SCHEDULES)
    return await _insert(tx, new, schedule_id)


def _check_length(what: str) -> None:
    if len(what) > WHAT_LENGTH_MAX:
        raise Refused(
            _("a reminder has at most {most} characters", most=WHAT_LENGTH_MAX),
            kept=_("nothing was saved"),
        )


async def _insert(tx: Transaction, new: New, schedule_id: UUID) -> str:
    values = {
        "id": new_id(),
        "schedule": schedule_id,
        "creator": new.creator_id,
        "project": new.project_id,
        "session": new.session_id,
        "thread": new.thread_id,
        "what": new.what,
        "is_prompt": new.is_prompt,
        "only_changed": new.only_changed,
        "by_agent": new.by_agent,
        "said": new.said,
        "targets": json.dumps(new.targets),
        "language": new.language,
        "quiet": new.quiet,
        "snoozed": new.snoozed_id,
    }
    short = await shorts.add(tx, _ADD, values, "r")
    if short is None:
        raise Refused(_("no short name was free for the reminder"), do=_("try again"))
    return short


async def find(tx: Transaction, short: str, person_id: UUID, *, operator: bool = False) -> Any:
    """The row of a reminder of that person, locked. :raises NotFound: they have none"""
    row = await known(tx, short)
    if row is None or not (operator or row.creator_id == person_id):
        raise none_of(short)
    return row


async def known(tx: Transaction, short: str) -> Any | None:
    """The row of a reminder, whoever's it is, locked; None: there is none."""
    return (await tx.execute(_BY_SHORT, {"short": short})).one_or_none()


def none_of(short: str) -> NotFound:
    """What somebody hears of a reminder that is none of theirs."""
    return NotFound(
        _("you have no reminder {reminder}", reminder=short), do=_("`reminders` lists yours")
    )


async def of_person(tx: Transaction, person_id: UUID | None) -> list[dict[str, Any]]:
    """What they have, what is due next first; None: everybody's."""
    rows = await tx.execute(_LIST, {"person": person_id, "limit": LISTED_MAX})
    return [dict(row) for row in rows.mappings()]


async def start(tx: Transaction, row: Any, *, as_prompt: bool = False) -> datetime:
    """Let it be due from now on; when it is first.

    :raises Refused: its time has passed, or can't be read, or nothing could change in what it says
    """
    if row.only_changed and not (row.is_prompt or as_prompt):
        raise asking.only_answers_change(row.short)
    schedule, at = _schedule_of(row), await due_rows.now(tx)
    due = schedule.next_after(at)
    if due is None:
        raise Refused(
            _("the time of this reminder has passed"),
            do=_("give it another one: `reminders edit {short} tomorrow 9`", short=row.short),
        )
    if as_prompt:
        await tx.execute(_AS_PROMPT, {"id": row.id})
    await schedule_rows.start(tx, row.schedule_id, schedule, at)
    tx.hint(SCHEDULES)
    return due


def _schedule_of(row: Any) -> Schedule:
    try:
        return due_rows.schedule_of(row)
    except ValueError as error:
        raise Refused(
            _("the time of this reminder can't be read here any more: {why}", why=str(error)),
            do=_("say it anew: `reminders edit {short} tomorrow 9`", short=row.short),
        ) from error


async def pause(tx: Transaction, row: Any, *, why: str = "") -> None:
    """Let it not be due until it is started again; one that is over is not anyway."""
    await schedule_rows.pause(tx, row.schedule_id, why)


async def reschedule(tx: Transaction, row: Any, schedule: Schedule, said: str) -> datetime:
    """Give it another time; when it is due then. One that rests goes on resting.

    :raises Refused: it never is
    """
    await schedule_rows.change(tx, row.schedule_id, schedule)
    await tx.execute(_SAY, {"id": row.id, "said": said})
    at = await due_rows.now(tx)
    due = schedule.next_after(at)
    if due is None:
        raise Refused(_("the time of this reminder has passed"))
    if not rests(row):
        await schedule_rows.start(tx, row.schedule_id, schedule, at)
        tx.hint(SCHEDULES)
    return due


def rests(row: Any) -> bool:
    """Whether somebody has to let it go on; one that has no time any more only lacks that."""
    if row.state != "paused":
        return False
    try:
        due_rows.schedule_of(row)
    except ValueError:
        return False
    return True


async def say_otherwise(tx: Transaction, row: Any, what: str) -> None:
    """Give it other words; what was answered before is compared with no more.

    :raises Refused: they are too many
    """
    _check_length(what)
    await tx.execute(_SAY_OTHERWISE, {"id": row.id, "what": what})


async def only_when_changed(tx: Transaction, row: Any, *, only: bool) -> None:
    """Post nothing while its answer is the same. :raises Refused: it is not answered"""
    if only and not row.is_prompt and row.why != UNCONFIRMED:
        raise asking.only_answers_change(row.short)
    await tx.execute(_ONLY_CHANGED, {"id": row.id, "only": only})


async def answered(tx: Transaction, row: Any, answer: str) -> None:
    """Remember what was posted, for the next time."""
    await tx.execute(_ANSWERED, {"id": row.id, "answer": answer})


async def take_over(tx: Transaction, row: Any, person_id: UUID) -> None:
    """Let it be that person's."""
    await tx.execute(_TAKE_OVER, {"id": row.id, "person": person_id})


async def be_quiet(tx: Transaction, row: Any, quiet: str) -> None:
    """Post nothing in these hours; see `bot.automate.reminders.quiet`."""
    await tx.execute(_QUIET, {"id": row.id, "quiet": quiet})


async def aim(tx: Transaction, row: Any, targets: Sequence[Mapping[str, str]]) -> None:
    """Let it be for these places and people from now on."""
    await tx.execute(_AIM, {"id": row.id, "targets": json.dumps(list(targets))})


async def delete(tx: Transaction, row: Any) -> None:
    """Forget it, and what it was put off to."""
    await tx.execute(_DELETE, {"reminder": row.id})
    tx.hint(SCHEDULES)


async def expire(tx: Transaction) -> None:
    """Forget those that nobody confirmed in time."""
    await tx.execute(_EXPIRE, {"why": UNCONFIRMED, "hours": KEPT_HOURS})
