"""How a run begins: what it works on is found out and fixed in rows.

    cause ─▶ `finding`: in whose name, targets ─▶ one transaction: run, targets ─▶ `running`

Whoever is killed in between begins again, and comes to the same run: it is known by its key.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from psycopg import IntegrityError
from sqlalchemy import text

from bot.automate.runs.finding import Counting, Finding, NoRun, Repositories
from bot.automate.runs.taking_place import take_place
from bot.automate.runs.targets import Target
from bot.errors import Refused
from bot.store.database import RUNS, Database
from bot.store.ids import new_id, new_short
from bot.store.transaction import Transaction
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _

log = structlog.get_logger(__name__)

SHORT_TRIES = 5
_KNOWN = text("SELECT id, short FROM run WHERE automation_id = :automation AND key = :key")
_ADD_RUN = text(
    """
    INSERT INTO run (id, short, automation_id, project_id, name, definition, trigger, key,
                     runs_as_id, started_by)
    VALUES (:id, :short, :automation, :project, :name, CAST(:definition AS jsonb),
            CAST(:trigger AS jsonb), :key, :runs_as, :started_by)
    """
)
_ADD_TARGETS = text(
    """
    INSERT INTO run_target (id, run_id, place, project_id, repository, url, state, why, ended_at)
    SELECT id, :run, place, project_id, repository, url, state, why,
           CASE WHEN state = 'waiting' THEN NULL ELSE now() END
      FROM jsonb_to_recordset(CAST(:targets AS jsonb))
           AS one (id uuid, place integer, project_id uuid, repository text, url text,
                   state text, why text)
    """
)


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a run begins."""

    kind: str
    """Of its trigger, or `person`."""
    key: str
    """What makes two beginnings of the automation one run."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What is known of what happened; shown to agents as quoted material only."""
    event_id: UUID | None = None
    """The `trigger_event` that becomes this run."""
    repository: str = ""
    """Address of the repository in which it happened."""
    started_by: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What came of it."""

    run_id: UUID | None = None
    short: str = ""
    why: str = ""
    """Why there is no run: `gone`, `paused`, `runs_as`, `no_targets`, `too_many`, `search`."""
    told: Message


class Beginning:
    """Begins runs of automations."""

    def __init__(self, database: Database, repositories: Repositories) -> None:
        self._database = database
        self.finding = Finding(database, repositories)

    async def begin(self, automation_id: UUID, cause: Cause) -> Begun:
        """Begin a run, once for each key of a cause.

        :raises OnaError: a code host can't be asked now; nothing was begun
        """
        async with self._database.begin() as tx:
            known = await _known(tx, automation_id, cause.key)
        if known is not None:
            return known
        try:
            found = await self.finding.counting(
                automation_id, cause.repository, by_hand=bool(cause.started_by)
            )
        except NoRun as error:
            return Begun(why=error.why, told=error.told)
        async with self._database.begin() as tx:
            return await _put(tx, found, cause)


async def _known(tx: Transaction, automation_id: UUID, key: str) -> Begun | None:
    asked = {"automation": automation_id, "key": key}
    row = (await tx.execute(_KNOWN, asked)).one_or_none()
    if row is None:
        return None
    told = _("The run {run} has begun already.", run=row.short)
    return Begun(run_id=row.id, short=row.short, told=told)


async def _put(tx: Transaction, found: Counting, cause: Cause) -> Begun:
    run_id = new_id()
    short = await _add(tx, found, cause, run_id)
    if short is None:
        known = await _known(tx, found.row.id, cause.key)
        if known is None:
            raise Refused(_("no short name was free for the run"), do=_("try again"))
        return known
    await tx.execute(_ADD_TARGETS, {"run": run_id, "targets": json.dumps(_rows(found.targets))})
    if cause.event_id is not None:
        await take_place(tx, run_id, cause.event_id, found.definition)
    tx.hint(RUNS)
    log.info("run_begun", run=short, automation=found.row.name, targets=len(found.targets))
    return Begun(run_id=run_id, short=short, told=_("The run {run} has begun.", run=short))


async def _add(tx: Transaction, found: Counting, cause: Cause, run_id: UUID) -> str | None:
    """The short name of the new run; None: its key is taken."""
    values = {
        "id": run_id,
        "automation": found.row.id,
        "project": found.row.project_id,
        "name": found.row.name,
        "definition": json.dumps(found.row.definition),
        "trigger": json.dumps({"kind": cause.kind, **cause.facts}, default=str),
        "key": cause.key,
        "runs_as": found.runs_as.person_id,
        "started_by": cause.started_by,
    }
    for _try in range(SHORT_TRIES):
        short = new_short("run")
        try:
            async with tx.begin_nested():
                await tx.execute(_ADD_RUN, {**values, "short": short})
        except IntegrityError:
            if await _known(tx, found.row.id, cause.key) is not None:
                return None
            continue
        return short
    return None


def _rows(found: Sequence[Target]) -> list[dict[str, Any]]:
    return [
        {
            "id": str(new_id()),
            "place": place,
            "project_id": one.project_id and str(one.project_id),
            "repository": one.name,
            "url": one.url,
            "state": "skipped" if one.why else "waiting",
            "why": one.why,
        }
        for place, one in enumerate(found, 1)
    ]
