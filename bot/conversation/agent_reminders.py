"""Reminders that agents set: in the thread of their turn, for whoever asked, and not for ever."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from bot.automate.reminders import asking, reminder_rows
from bot.automate.reminders.reminder_rows import New
from bot.conversation import reminder_words
from bot.conversation.children import SURFACE as CHILDREN
from bot.conversation.reminder_places import SURFACE as CLOCK
from bot.errors import Refused
from bot.govern.languages import zone_of
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.catalogue import nearest, speaking
from bot.work.tools.reminding import Reminded, Wanted
from bot.work.tools.tool import Asker, Call
from scheduler import due_rows
from scheduler.rules import Once
from scheduler.schedule import Schedule

DAYS_MAX = 30
"""From when it is set until it is due for the last time."""
SESSION_MAX = 10
"""That agents of one session may have set at a time."""
_THREAD = text(
    """
    SELECT thread.id, thread.surface, thread.place, prompt.asker
      FROM turn JOIN prompt ON prompt.id = turn.prompt_id
      JOIN thread ON thread.id = prompt.thread_id
     WHERE turn.id = :turn
    """
)
_COUNT = text(
    """
    SELECT count(*) FROM reminder JOIN schedule ON schedule.id = reminder.schedule_id
     WHERE reminder.session_id = :session AND reminder.by_agent AND schedule.state <> 'ended'
    """
)


async def remind(tx: Transaction, call: Call, asker: Asker, wanted: Wanted) -> Reminded:
    """See `bot.work.tools.reminding.Remind`."""
    thread = (await tx.execute(_THREAD, {"turn": call.turn.turn_id})).one_or_none()
    if thread is None or thread.surface in {CHILDREN, CLOCK}:
        raise Refused(_("nobody reads the thread of this turn"), do=_("say it in your answer"))
    session_id = call.turn.session_id
    if await tx.scalar(_COUNT, {"session": session_id}) >= SESSION_MAX:
        raise Refused(
            _("agents have set {most} reminders in this session already", most=SESSION_MAX),
            kept=_("nothing was saved"),
        )
    now, zone = await due_rows.now(tx), await zone_of(tx, asker.person_id)
    reading = asking.read(wanted.when, now=now, zone=zone)
    schedule = bounded(reading.schedule, now)
    new = New(
        creator_id=asker.person_id,
        project_id=call.turn.project_id,
        session_id=session_id,
        thread_id=thread.id,
        schedule=schedule,
        said=reading.said,
        what=wanted.what,
        targets=(_target(thread),),
        language=nearest(asker.language),
        is_prompt=wanted.answer,
        by_agent=True,
        is_confirmed=True,
    )
    short = await reminder_rows.add(tx, new)
    times = schedule.next_times(now, reminder_words.NEXT_TIMES)
    with speaking(new.language, schedule.zone):
        told = reminder_words.set_by_agent(short, asker.name, reading.said, wanted.what, times[0])
    return Reminded(short=short, told=told, thread_id=thread.id, times=times)


def bounded(schedule: Schedule, now: datetime) -> Schedule:
    """The same, ended in time; pure. :raises Refused: it would begin too late"""
    last = now + timedelta(days=DAYS_MAX)
    first = schedule.next_after(now)
    if first is None or first > last:
        raise Refused(
            _("a reminder of an agent is due within {days} days", days=DAYS_MAX),
            kept=_("nothing was saved"),
        )
    if isinstance(schedule.rule, Once):
        return schedule
    ends = min(last, schedule.ends_at) if schedule.ends_at else last
    return replace(schedule, ends_at=ends)


def _target(thread: Any) -> dict[str, str]:
    """In the thread, notifying whoever asked; its channel is what its place begins with."""
    channel = str(thread.place).partition("~")[0].rpartition("/")[0]
    known = {"thread": str(thread.id), "notify": thread.asker, "channel": channel}
    return {name: value for name, value in known.items() if value}
