"""What pages and API read: each function is one query and returns plain mappings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.errors import NotFound
from bot.govern.projects import get_project, list_projects
from bot.store.transaction import Transaction
from bot.web.repository import shown
from bot.words.guesses import as_rows
from bot.work import control
from bot.work.queue import waiting_place
from vmpool.silence import BREAK_SECONDS

Row = Mapping[str, Any]
SESSIONS_MAX = 200
EVENTS_MAX = 500

_SESSION = """
    SELECT session.id, session.short, session.state, session.title, session.agent, session.model,
           session.branch, session.base_branch, session.created_at, session.active_at,
           session.event_last, project.name AS project,
           project.id AS project_id, session.private_to, session.narrow, creator.name AS creator,
           holder.name AS held_by, machine.state AS machine_state, machine.id AS machine_id,
           (SELECT count(*) FROM prompt
             WHERE prompt.session_id = session.id AND prompt.state = 'queued') AS queued,
           outcome.state AS last_outcome,
           (SELECT CAST(coalesce(sum(cost_micro), 0) AS double precision) / 1000000 FROM charge
             WHERE charge.session_id = session.id AND charge.state <> 'reserved') AS cost_usd,
           (SELECT CAST(limit_micro + extra_micro AS double precision) / 1000000 FROM budget
             WHERE budget.kind = 'session' AND budget.owner = session.id) AS budget_usd
      FROM session
      JOIN project ON project.id = session.project_id
      JOIN person AS creator ON creator.id = session.creator_id
      LEFT JOIN person AS holder ON holder.id = session.held_by
      LEFT JOIN LATERAL (
           SELECT id, state FROM machine WHERE machine.session_id = session.id
            ORDER BY state IN ('lost', 'removing', 'gone'), created_at DESC LIMIT 1
      ) AS machine ON true
      LEFT JOIN LATERAL (
           SELECT state FROM turn WHERE turn.session_id = session.id AND turn.ended_at IS NOT NULL
            ORDER BY ended_at DESC LIMIT 1
      ) AS outcome ON true
"""
_SESSIONS = text(
    f"""
    {_SESSION}
     WHERE (CAST(:project AS text) IS NULL OR project.name = :project)
       AND (CAST(:state AS text) IS NULL OR session.state = :state)
       AND (CAST(:before AS timestamptz) IS NULL OR session.active_at < :before)
     ORDER BY session.active_at DESC, session.id DESC LIMIT :limit
    """
)
_ONE_SESSION = text(f"{_SESSION} WHERE session.short = :short")
_WHOSE = text(
    """
    SELECT project_id, narrow FROM session
     WHERE short = :short AND (private_to IS NULL OR private_to = :person)
    """
)
_SESSION_ID = text("SELECT id FROM session WHERE short = :short")
_EVENTS = text(
    """
    SELECT number, turn_id AS turn, kind, body, at FROM turn_event
     WHERE session_id = :session AND number > :after ORDER BY number LIMIT :limit
    """
)
_EVENTS_BEFORE = text(
    """
    SELECT number, turn_id AS turn, kind, body, at FROM turn_event
     WHERE session_id = :session AND number < :before ORDER BY number DESC LIMIT :limit
    """
)
_QUESTIONS = text(
    """
    SELECT question.id, question.text, question.choices, question.state, question.answer,
           question.created_at, question.expires_at, person.name AS answered_by
      FROM question LEFT JOIN person ON person.id = question.answered_by
     WHERE question.session_id = :session ORDER BY question.created_at DESC LIMIT 50
    """
)
_PICTURE = text(
    """
    SELECT picture.media_type, picture.data
      FROM picture JOIN session ON session.id = picture.session_id
     WHERE session.short = :short AND picture.id = :picture AND picture.posted_at IS NOT NULL
    """
)
_SILENT = f"host.seen_at < clock_timestamp() - interval '{BREAK_SECONDS} s'"
_MACHINE = f"""
    SELECT machine.id, 'm-' || right(CAST(machine.id AS text), 8) AS short, machine.state,
           machine.request, machine.note, machine.facts, machine.generation, machine.created_at,
           machine.used_at, machine.changed_at, session.short AS session, project.name AS project,
           project.id AS project_id, session.private_to, session.narrow, host.name AS host,
           host.driver,
           host.given_up_at IS NOT NULL AS host_given_up,
           CASE WHEN {_SILENT} THEN host.seen_at END AS host_silent_since,
           host.accelerator, machine.template_id AS template, machine.size, machine.vcpus,
           machine.memory_mib, machine.disk_gib,
           CASE WHEN template.machine_id = machine.id AND template.state = 'building'
                THEN 't-' || right(CAST(template.id AS text), 8) END AS builds
      FROM machine
      JOIN host ON host.id = machine.host_id
      LEFT JOIN session ON session.id = machine.session_id
      LEFT JOIN template ON template.id = machine.template_id OR template.machine_id = machine.id
      LEFT JOIN project ON project.id = coalesce(session.project_id, template.project_id)
"""
_MACHINES = text(
    f"""
    {_MACHINE} WHERE :everything OR machine.state NOT IN ('gone')
     ORDER BY machine.used_at DESC LIMIT 200
    """
)
_ONE_MACHINE = text(
    f"""
    {_MACHINE}
     WHERE CAST(machine.id AS text) = :said OR 'm-' || right(CAST(machine.id AS text), 8) = :said
        OR (session.short = :said AND machine.state NOT IN ('lost', 'removing', 'gone'))
     ORDER BY machine.created_at DESC LIMIT 1
    """
)
_HOSTS = text(
    f"""
    SELECT name, driver, accelerator, seen_at, {_SILENT} AS is_silent,
           given_up_at IS NOT NULL AS is_given_up
      FROM host ORDER BY name
    """
)
_BESIDE = text(
    """
    SELECT project_id, name, url, base_branch FROM project_repository
     WHERE removed_at IS NULL ORDER BY name
    """
)
_GUESSES = text(
    """
    SELECT DISTINCT ON (project_id) project_id, steps FROM template
     WHERE state <> 'gone' ORDER BY project_id, created_at DESC
    """
)
_PROGRESS = text(
    """
    SELECT (SELECT count(*) FROM host) AS hosts,
           (SELECT count(*) FROM project WHERE removed_at IS NULL) AS projects,
           (SELECT count(*) FROM turn WHERE state = 'succeeded') AS succeeded,
           (SELECT count(*) FROM session) AS sessions
    """
)


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """One event of a session as it is stored."""

    number: int
    turn: UUID | None
    kind: str
    body: Mapping[str, Any]
    at: datetime


async def sessions(
    tx: Transaction,
    *,
    limit: int = 50,
    project: str | None = None,
    state: str | None = None,
    before: datetime | None = None,
) -> Sequence[Row]:
    """Sessions, the one that was active last first."""
    wanted = {
        "limit": min(limit, SESSIONS_MAX),
        "project": project,
        "state": state,
        "before": before,
    }
    return [dict(row) for row in (await tx.execute(_SESSIONS, wanted)).mappings()]


async def session(tx: Transaction, short: str) -> dict[str, Any]:
    """One session. :raises NotFound:."""
    row = (await tx.execute(_ONE_SESSION, {"short": short})).mappings().one_or_none()
    if row is None:
        raise _no_session(short)
    return dict(row)


async def session_id(tx: Transaction, short: str) -> UUID:
    """The id behind a short one. :raises NotFound:."""
    found: UUID | None = (await tx.execute(_SESSION_ID, {"short": short})).scalar_one_or_none()
    if found is None:
        raise _no_session(short)
    return found


async def whose(tx: Transaction, short: str, person_id: UUID) -> Any:
    """The project that a session works on, and whether it is narrow: {project_id, narrow}.

    :raises NotFound: there is none of that name, or it is another person's private one
    """
    wanted = {"short": short, "person": person_id}
    found = (await tx.execute(_WHOSE, wanted)).one_or_none()
    if found is None:
        raise _no_session(short)
    return found


async def events(tx: Transaction, session_id: UUID, *, after: int, limit: int) -> list[StoredEvent]:
    """The events after number `after`, at most `limit`, in order."""
    wanted = {"session": session_id, "after": after, "limit": min(limit, EVENTS_MAX)}
    return [StoredEvent(**row) for row in (await tx.execute(_EVENTS, wanted)).mappings()]


async def events_before(
    tx: Transaction, session_id: UUID, *, before: int, limit: int
) -> list[StoredEvent]:
    """The last `limit` events before number `before`, in order."""
    wanted = {"session": session_id, "before": before, "limit": min(limit, EVENTS_MAX)}
    rows = (await tx.execute(_EVENTS_BEFORE, wanted)).mappings().all()
    return [StoredEvent(**row) for row in reversed(rows)]


async def queue(tx: Transaction, session_id: UUID) -> list[dict[str, Any]]:
    """The queued prompts in the order in which they will run, with their place from 1."""
    rows = await control.open_prompts(tx, session_id)
    return [{**row, "place": place} for place, row in enumerate(rows, 1)]


async def place(tx: Transaction, session_id: UUID) -> int:
    """How many sessions go before this one."""
    return await waiting_place(tx, session_id)


async def questions(tx: Transaction, session_id: UUID) -> list[dict[str, Any]]:
    """Questions of the session's turns, the newest first."""
    rows = await tx.execute(_QUESTIONS, {"session": session_id})
    return [dict(row) for row in rows.mappings()]


async def machines(tx: Transaction, *, everything: bool = False) -> Sequence[Row]:
    """Machines, the one used last first; those that are gone only with `everything`."""
    rows = await tx.execute(_MACHINES, {"everything": everything})
    return [dict(row) for row in rows.mappings()]


async def machine(tx: Transaction, said: str) -> dict[str, Any]:
    """A machine by its id, its short id, or its session's. :raises NotFound:."""
    row = (await tx.execute(_ONE_MACHINE, {"said": said})).mappings().one_or_none()
    if row is None:
        raise no_machine(said)
    return dict(row)


async def projects(tx: Transaction) -> list[dict[str, Any]]:
    """The projects by name, their addresses without credentials, with guesses of their set-up."""
    steps = {row["project_id"]: row["steps"] for row in (await tx.execute(_GUESSES)).mappings()}
    beside: dict[UUID, list[dict[str, Any]]] = {}
    for row in (await tx.execute(_BESIDE)).mappings():
        one = {"name": row["name"], "url": shown(row["url"]), "base_branch": row["base_branch"]}
        beside.setdefault(row["project_id"], []).append(one)
    return [
        {
            **row,
            "repository_url": shown(row["repository_url"]),
            "repositories": beside.get(row["id"], []),
            "guessed": [] if row["setup"] else as_rows(steps.get(row["id"], [])),
        }
        for row in await list_projects(tx)
    ]


async def project(tx: Transaction, name: str) -> dict[str, Any]:
    """One project, its address without credentials. :raises NotFound:."""
    project_id = (await get_project(tx, name))["id"]
    return next(row for row in await projects(tx) if row["id"] == project_id)


async def hosts(tx: Transaction) -> Sequence[Row]:
    """The hosts that run machines."""
    return [dict(row) for row in (await tx.execute(_HOSTS)).mappings()]


async def progress(tx: Transaction) -> Row:
    """How far the set-up is: hosts, projects, sessions, succeeded turns, as counts."""
    return dict((await tx.execute(_PROGRESS)).mappings().one())


def no_machine(said: str) -> NotFound:
    """What is said of a machine that is not there."""
    return NotFound(f"there is no machine {said[:80]}", do="`ona machines` lists those there are")


def _no_session(short: str) -> NotFound:
    return NotFound(f"there is no session {short[:80]}", do="`ona sessions` lists those there are")


async def picture(tx: Transaction, short: str, picture_id: UUID) -> tuple[str, bytes]:
    """What a picture that an agent posted is, and its bytes. :raises NotFound:."""
    row = (await tx.execute(_PICTURE, {"short": short, "picture": picture_id})).one_or_none()
    if row is None:
        raise NotFound("there is no such picture in this session")
    return row.media_type, bytes(row.data)
