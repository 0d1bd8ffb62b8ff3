"""How a run begins: what it works on is found out and fixed in rows.

    cause ─▶ the automation and in whose name ─▶ targets: outside of any transaction, code hosts are
    asked ─▶ one transaction: run, targets ─▶ `bot.automate.runs.running`

Whoever is killed in between begins again, and comes to the same run: it is known by its key.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import structlog
from psycopg import IntegrityError
from sqlalchemy import text

from bot.automate.definition import Definition, Search, restored, step_kind
from bot.automate.runs.taking_place import take_place
from bot.automate.runs.targets import Known, Repository, Target, targets
from bot.errors import NotFound, Refused
from bot.govern.access import Act, Standing, require
from bot.govern.people import standing_of
from bot.store.database import RUNS, Database
from bot.store.ids import new_id, new_short
from bot.store.transaction import Transaction
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _

log = structlog.get_logger(__name__)

SHORT_TRIES = 5
_AUTOMATION = text(
    """
    SELECT automation.id, automation.name, automation.state, automation.definition,
           automation.digest, automation.proposed, automation.proposed_digest,
           automation.project_id,
           coalesce(automation.runs_as_id, automation.approved_by, automation.creator_id)
               AS runs_as_id,
           project.name AS project, project.repository_url,
           project.removed_at IS NULL AS project_there
      FROM automation JOIN project ON project.id = automation.project_id
     WHERE automation.id = :automation
    """
)
_PROJECTS = text("SELECT id, name, repository_url FROM project WHERE removed_at IS NULL")
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


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What would run."""

    name: str
    runs_as: str
    steps: tuple[str, ...]
    """The kind of each."""
    targets: tuple[Target, ...]
    why: str
    """As `Begun.why`, or `proposed`: when it is approved."""
    told: Message
    next_times: tuple[datetime, ...] = ()


class Repositories(Protocol):
    """Finds repositories on code hosts."""

    async def named(self, names: Sequence[str]) -> Sequence[Repository]:
        """Those that a context lists, in its order; what can't be found says why."""
        ...

    async def found(self, search: Search, limit: int) -> Sequence[Repository]:
        """Those that a search finds, at most `limit`. :raises OnaError: it can't be asked"""
        ...

    def address(self, url: str) -> str:
        """Host and path of a repository, by which it is known again."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Found:
    """An automation with its targets."""

    row: Any
    definition: Definition
    runs_as: Standing
    targets: Sequence[Target]


class Beginning:
    """Begins runs of automations."""

    def __init__(self, database: Database, repositories: Repositories) -> None:
        self._database = database
        self._repositories = repositories

    async def begin(self, automation_id: UUID, cause: Cause) -> Begun:
        """Begin a run, once for each key of a cause.

        :raises OnaError: a code host can't be asked now; nothing was begun
        """
        async with self._database.begin() as tx:
            known = await _known(tx, automation_id, cause.key)
        if known is not None:
            return known
        try:
            found = await self._find(
                automation_id, cause.repository, by_hand=bool(cause.started_by)
            )
        except _Not as error:
            return Begun(why=error.why, told=error.told)
        async with self._database.begin() as tx:
            return await _put(tx, found, cause)

    async def preview(self, automation_id: UUID) -> Preview:
        """What would run now; nothing is begun. Of what nobody has approved yet: what would then.

        :raises NotFound: there is no such automation
        """
        why, told, found = "", _("This would run."), None
        try:
            proposal = await self._proposal(automation_id)
            if proposal is not None:
                return proposal
            found = await self._find(automation_id, "", by_hand=True)
        except _Not as error:
            why, told = error.why, error.told
        return Preview(
            name=found.row.name if found else "",
            runs_as=found.runs_as.name if found else "",
            steps=tuple(step_kind(step) for step in found.definition.steps) if found else (),
            targets=tuple(found.targets) if found else (),
            why=why,
            told=told,
        )

    async def _proposal(self, automation_id: UUID) -> Preview | None:
        """What a file proposes of which nothing counts yet; None: something does, or nothing is."""
        async with self._database.begin() as tx:
            row = (await tx.execute(_AUTOMATION, {"automation": automation_id})).one_or_none()
            projects = (await tx.execute(_PROJECTS)).all()
        if row is None or row.digest or not (row.proposed_digest and row.project_there):
            return None
        definition = _readable(row.proposed)
        return Preview(
            name=definition.name,
            runs_as=definition.runs_as,
            steps=tuple(step_kind(step) for step in definition.steps),
            targets=tuple(await self._targets(row, definition, projects, "")),
            why="proposed",
            told=_("Nobody has approved this yet; once it is approved, this would run."),
        )

    async def _find(self, automation_id: UUID, happened_in: str, *, by_hand: bool) -> _Found:
        async with self._database.begin() as tx:
            row = (await tx.execute(_AUTOMATION, {"automation": automation_id})).one_or_none()
            if row is None:
                raise NotFound(_("there is no such automation"))
            definition = _definition(row, by_hand=by_hand)
            if row.runs_as_id is None:
                raise _Not("runs_as", _("nobody is known in whose name it works"))
            who = await standing_of(tx, row.runs_as_id)
            _check_standing(who)
            projects = (await tx.execute(_PROJECTS)).all()
        found = await self._targets(row, definition, projects, happened_in)
        return _Found(row=row, definition=definition, runs_as=who, targets=found)

    async def _targets(
        self, row: Any, definition: Definition, projects: Sequence[Any], happened_in: str
    ) -> Sequence[Target]:
        """What it works on. :raises _Not: nothing, or too much"""
        known = [self._project(one) for one in projects]
        own = next(one for one in known if one.id == row.project_id)
        there = self._repositories.address(happened_in) if happened_in else ""
        found = targets(definition.context, own, known, await self._listed(definition), there)
        _check_count(found, definition)
        return found

    async def _listed(self, definition: Definition) -> Sequence[Repository]:
        context, listed = definition.context, list[Repository]()
        if context.repositories:
            listed += await self._repositories.named(context.repositories)
        if context.search is not None:
            # One more than there may be: a run that would have too many is refused whole.
            limit = definition.limits.targets + 1
            listed += await self._repositories.found(context.search, limit)
        return listed

    def _project(self, row: Any) -> Known:
        address = self._repositories.address(row.repository_url)
        return Known(id=row.id, name=row.name, address=address)


class _Not(Exception):
    """No run comes of it."""

    def __init__(self, why: str, told: Message) -> None:
        super().__init__(why)
        self.why, self.told = why, told


def _definition(row: Any, *, by_hand: bool) -> Definition:
    """What counts of an automation. :raises _Not: it may not run"""
    if row.state == "removed" or not row.project_there:
        raise _Not("gone", _("the automation or its project was removed"))
    if not row.digest:
        raise _Not(
            "paused", _("nobody has approved this automation yet: `ona automations approve`")
        )
    if row.state == "paused" and not by_hand:
        raise _Not("paused", _("the automation is paused"))
    return _readable(row.definition)


def _readable(kept: dict[str, Any]) -> Definition:
    try:
        return restored(kept)
    except ValueError as error:
        raise _Not("gone", _("the automation can't be read any more")) from error


def _check_standing(who: Standing) -> None:
    try:
        require(who, Act.PROMPT)
    except Refused as error:
        raise _Not("runs_as", Message(error.happened)) from error


def _check_count(found: Sequence[Target], definition: Definition) -> None:
    if not found:
        raise _Not("no_targets", _("there is nothing that it could work on"))
    most = definition.limits.targets
    if len(found) > most:
        raise _Not(
            "too_many",
            _("it would work on more than {most} repositories, the limit that it sets", most=most),
        )


async def _known(tx: Transaction, automation_id: UUID, key: str) -> Begun | None:
    asked = {"automation": automation_id, "key": key}
    row = (await tx.execute(_KNOWN, asked)).one_or_none()
    if row is None:
        return None
    told = _("The run {run} has begun already.", run=row.short)
    return Begun(run_id=row.id, short=row.short, told=told)


async def _put(tx: Transaction, found: _Found, cause: Cause) -> Begun:
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


async def _add(tx: Transaction, found: _Found, cause: Cause, run_id: UUID) -> str | None:
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
