"""What happened and a trigger is about, as rows until a run comes of it or the reason why not.

    cron firing · forge event · webhook · watched message · another run's end
        ─▶ `put`: once for each key of its trigger ─▶ `bot.automate.triggers.taking`

What comes twice is one row for as long as the first is kept.
"""

import enum
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.automate import notices
from bot.automate.triggers.facts import bounded, plain
from bot.store.database import TRIGGERS
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

EVENTS_PER_HOUR_MAX = 2_000
"""Of one trigger; what comes beyond that is not kept, which is said once an hour."""
KEY_LENGTH_MAX = 200
"""What is longer is known by its digest."""
ABOUT_LENGTH_MAX = 500
KEPT_DAYS = 30
"""Of an event of which a run came, or nothing; and for so long one that comes again is known."""
EXPIRED_MAX = 5_000
"""Rows that one transaction removes."""
CAUSED_BY = "caused_by_run"
"""The fact that names the run by which something came about: its id or short id."""
BRANCH = "branch"
"""The fact that names a branch: one of a session that works for a run, or did before its target was
run again, tells of that run; so does one of a session that such a one has started."""
_OF_SESSION = re.compile(r"ona/(s-[0-9a-z]+)(?:[-/].*)?", re.DOTALL)
_ADD = text(
    """
    INSERT INTO trigger_event (id, trigger_id, key, about, facts, repository, cause_id, act_at)
    SELECT :id, automation_trigger.id, :key, :about, CAST(:facts AS jsonb), :repository,
           coalesce(
               (SELECT run.id FROM run
                 WHERE run.id = CAST(:cause AS uuid) OR run.short = :cause_short),
               (SELECT target.run_id FROM session
                  JOIN run_target AS target ON target.session_id IN (session.id, session.parent_id)
                 WHERE session.short = :session ORDER BY target.run_id DESC LIMIT 1),
               (SELECT run.id FROM session
                  JOIN thread ON thread.session_id IN (session.id, session.parent_id)
                  JOIN run ON run.short = split_part(thread.place, '/', 1)
                 WHERE session.short = :session AND thread.surface = 'run' LIMIT 1)),
           now() + make_interval(secs => :seconds)
      FROM automation_trigger
     WHERE automation_trigger.id = :trigger
       AND (SELECT count(*) FROM (SELECT FROM trigger_event AS recent
                                   WHERE recent.trigger_id = :trigger
                                     AND recent.created_at > now() - interval '1 hour'
                                   LIMIT :most) AS counted) < :most
    ON CONFLICT (trigger_id, key) DO NOTHING RETURNING id
    """
)
_KNOWN = text("SELECT 1 FROM trigger_event WHERE trigger_id = :trigger AND key = :key")
_OF_TRIGGER = text(
    """
    SELECT automation_trigger.automation_id, automation_trigger.short,
           date_trunc('hour', now()) AS hour
      FROM automation_trigger WHERE id = :trigger
    """
)
_RECENT = text(
    """
    SELECT count(*) FROM trigger_event
     WHERE trigger_id = :trigger AND created_at > now() - interval '1 hour'
    """
)
_EXPIRE = text(
    """
    DELETE FROM trigger_event
     WHERE id IN (SELECT id FROM trigger_event
                   WHERE state <> 'waiting'
                     AND created_at < now() - make_interval(days => :days) LIMIT :most)
    """
)


class Added(enum.Enum):
    """What became of something that happened."""

    NEW = "new"
    KNOWN = "known"
    """It came before."""
    FULL = "full"
    """Too much happened within an hour, or the trigger is gone; nothing was kept."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened."""

    trigger_id: UUID
    key: str
    """Unique within the trigger: what makes two deliveries the same event."""
    about: str = ""
    """What events are coalesced by, such as `github:owner/name#12`; empty: by nothing."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What is known of it, from outside and of any size; CAUSED_BY names a run of ours."""
    repository: str = ""
    """Address of the repository it happened in; empty: none."""
    act_after_seconds: float = 0.0
    """More about the same may come until then."""


async def put(tx: Transaction, event: Event) -> bool:
    """Keep it until a run comes of it; False: it is known already, or too much happens."""
    return await add(tx, event) is Added.NEW


async def add(tx: Transaction, event: Event) -> Added:
    """The same, and why it was not kept."""
    known = {"trigger": event.trigger_id, "key": bounded_key(event.key)}
    branch = _OF_SESSION.fullmatch(str(event.facts.get(BRANCH) or ""))
    cause_id, cause_short = _cause(event.facts)
    values = {
        **known,
        "id": new_id(),
        "about": plain(event.about, ABOUT_LENGTH_MAX),
        "facts": json.dumps(bounded(event.facts)),
        "repository": plain(event.repository, ABOUT_LENGTH_MAX),
        "cause": cause_id,
        "cause_short": cause_short,
        "session": branch[1] if branch else None,
        "seconds": event.act_after_seconds,
        "most": EVENTS_PER_HOUR_MAX,
    }
    if (await tx.execute(_ADD, values)).first() is not None:
        tx.hint(TRIGGERS)
        return Added.NEW
    if (await tx.execute(_KNOWN, known)).first() is not None:
        return Added.KNOWN
    await _say_full(tx, event.trigger_id)
    return Added.FULL


async def within_hour(tx: Transaction, trigger_id: UUID) -> int:
    """How many were kept of a trigger within the last hour."""
    return int(await tx.scalar(_RECENT, {"trigger": trigger_id}))


async def expire(tx: Transaction) -> None:
    """Forget what is old and not waited for any more."""
    await tx.execute(_EXPIRE, {"days": KEPT_DAYS, "most": EXPIRED_MAX})


def bounded_key(key: str) -> str:
    """A key as rows have it."""
    if len(key) <= KEY_LENGTH_MAX and key == plain(key, KEY_LENGTH_MAX):
        return key
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"


async def _say_full(tx: Transaction, trigger_id: UUID) -> None:
    row = (await tx.execute(_OF_TRIGGER, {"trigger": trigger_id})).one_or_none()
    if row is None:
        return
    said = _(
        "More than {most} things happened within an hour that the trigger {trigger} is about:"
        " what came beyond that was left out. Make its filter narrower.",
        most=EVENTS_PER_HOUR_MAX,
        trigger=row.short,
    )
    await notices.put(tx, row.automation_id, f"full/{row.short}/{row.hour.isoformat()}", said)


def _cause(facts: Mapping[str, Any]) -> tuple[UUID | None, str | None]:
    """The run that the facts name: its id, or its short id."""
    named = str(facts.get(CAUSED_BY) or "")
    try:
        return UUID(named), None
    except ValueError:
        return None, plain(named, KEY_LENGTH_MAX) or None
