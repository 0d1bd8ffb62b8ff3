"""What happens in repositories becomes events of the triggers that are about it.

happened ─▶ triggers of its repository ─▶ `matching` ─▶ may they write? the forge is asked
                                                    ─▶ one transaction: rows, each once
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import text

from adapters.chat.incoming import Author, Happened
from adapters.chat.port import Deadline
from adapters.forge.port import ForgePort, Permission, Wanted
from bot.automate.definition import Definition, Trigger
from bot.automate.files import folders
from bot.automate.triggers import events, matching
from bot.automate.triggers.events import Event
from bot.automate.triggers.matching import Match
from bot.automate.triggers.watched import Watched, watched
from bot.errors import OnaError
from bot.govern.people import standing_of
from bot.govern.rights import ASK_SECONDS_MAX, Rights
from bot.store.database import Database
from bot.store.states import AutomationState
from bot.store.transaction import Transaction
from bot.work import pulls

log = structlog.get_logger(__name__)

_TRIGGER: TypeAdapter[Trigger] = TypeAdapter(Trigger)

_CAUSE = text(
    """
    SELECT run.id, run.automation_id, coalesce((run.trigger ->> 'depth')::integer, 0) AS depth
      FROM run_target JOIN run ON run.id = run_target.run_id
     WHERE run_target.session_id IN (
               SELECT session_id FROM pull_request
                WHERE surface = :surface AND lower(repository) = lower(CAST(:repository AS varchar))
                  AND (number = :number OR (head = CAST(:branch AS varchar) AND :number = 0))
                UNION
               SELECT id FROM session
                WHERE branch = CAST(:branch AS varchar) AND CAST(:branch AS varchar) <> '')
     ORDER BY run.created_at DESC LIMIT 1
    """
)


def wanted(database: Database, surface: str, port: ForgePort) -> Wanted:
    """What triggers want to hear of on a forge, pushes wherever automations lie in files, and what
    becomes of pull requests of ours.

    Those of paused automations too: when one goes on, it begins with what happens then.
    """

    async def ask() -> Mapping[str, frozenset[str]]:
        async with database.begin() as tx:
            every = await watched(tx, {"": port})
            files = await folders.kept(tx)
            ours = await pulls.open_in(tx, surface)
        asked = [(one.url, one.trigger.kind) for one in every]
        found: dict[str, set[str]] = {}
        for url, kind in (*asked, *((url, "push") for url in files.values())):
            name = port.repository(url)
            if name is not None:
                found.setdefault(name, set()).add(kind)
        for name in ours:
            found.setdefault(name, set()).add("pull_request")
        return {name: frozenset(kinds) for name, kinds in found.items()}

    return ask


class ForgeEvents:
    """Takes what happened in repositories."""

    def __init__(self, database: Database, rights: Rights) -> None:
        """`rights` knows the forges, which are asked about who did something."""
        self._database = database
        self._rights = rights

    async def take(self, happened: Happened) -> None:
        """Make it an event of each trigger that is about it, once.

        What is pushed to a default branch has its folder of automations read soon.

        :raises ChatError: its forge does not say who may do what; it has to come again
        """
        port = self._rights.forges.get(happened.surface)
        if port is None:
            return
        if happened.kind == "pull_request":
            async with self._database.begin() as tx:
                which = (happened.surface, happened.repository, happened.number)
                await pulls.happened(tx, *which, happened.action)
        if happened.kind == "push" and happened.branch == happened.default_branch:
            await self._look_soon(port, happened)
        found = [
            (one, match)
            for one in await self._watched(port, happened)
            if (match := _match(one.trigger, happened)) is not None and await self._may_know(one)
        ]
        asked = next((match.ask for _, match in found if match.ask is not None), None)
        if asked is not None and not await _may_write(port, happened, asked):
            found = [(one, match) for one, match in found if match.ask is None]
        if found:
            async with self._database.begin() as tx:
                await _put(tx, happened, [one for one, _ in found])

    async def _look_soon(self, port: ForgePort, happened: Happened) -> None:
        name = happened.repository.casefold()
        async with self._database.begin() as tx:
            for project_id, url in (await folders.kept(tx)).items():
                if (port.repository(url) or "").casefold() == name:
                    await folders.look_soon(tx, project_id, happened.commit)

    async def _watched(self, port: ForgePort, happened: Happened) -> Sequence[Watched]:
        async with self._database.begin() as tx:
            every = await watched(tx, self._rights.forges, [happened.kind])
        name = happened.repository.casefold()
        return [
            one
            for one in every
            if one.trigger.state == AutomationState.ACTIVE
            and (port.repository(one.url) or "").casefold() == name
        ]

    async def _may_know(self, one: Watched) -> bool:
        """Whether who the automation works for may read the repository, where it is another's."""
        if one.is_own:
            return True
        if one.trigger.runs_as_id is None:
            return False
        try:
            async with self._database.begin() as tx:
                who = await standing_of(tx, one.trigger.runs_as_id)
            await self._rights.require(who, one.project_id, Permission.READ)
        except OnaError as error:
            log.info("trigger_not_told", trigger=str(one.trigger.id), why=str(error))
            return False
        return True


def _match(row: Any, happened: Happened) -> Match | None:
    try:
        trigger = _TRIGGER.validate_python(row.options)
    except ValidationError as error:
        log.warning("trigger_unreadable", trigger=str(row.id), why=str(error))
        return None
    found = matching.matches(trigger, happened, since=row.created_at)
    if isinstance(found, Match):
        return found
    log.debug("trigger_not_matched", trigger=str(row.id), key=happened.key, why=found)
    return None


async def _may_write(port: ForgePort, happened: Happened, who: Author) -> bool:
    deadline = Deadline.after(ASK_SECONDS_MAX)
    level = await port.permission(happened.repository, who.id, deadline)
    if level < Permission.WRITE:
        log.info("trigger_refused", repository=happened.repository, key=happened.key, by=who.name)
    return level >= Permission.WRITE


async def _put(tx: Transaction, happened: Happened, found: Sequence[Watched]) -> None:
    facts = {**matching.facts(happened), **await _cause(tx, happened)}
    for one in found:
        await events.put(
            tx,
            Event(
                trigger_id=one.trigger.id,
                key=_key(one, happened),
                about=matching.about(happened),
                facts=facts,
                repository=one.url,
                act_after_seconds=_coalesce_seconds(one.trigger.definition),
            ),
        )


def _coalesce_seconds(definition: Mapping[str, Any]) -> float:
    """As a row keeps it; what else it says need not be readable any more."""
    default = Definition.model_fields["coalesce_seconds"].default
    return float(definition.get("coalesce_seconds", default))


def _key(one: Watched, happened: Happened) -> str:
    """Unique within the trigger, which may hear in several repositories."""
    return happened.key if one.is_own else f"{happened.repository}/{happened.key}"


async def _cause(tx: Transaction, happened: Happened) -> dict[str, Any]:
    """The run whose session did it, or the pull request that it is about; {}: no run.

    `depth` counts the runs that led here, one by the other.
    """
    where = {
        "surface": happened.surface,
        "repository": happened.repository,
        "number": happened.number,
        "branch": happened.branch,
    }
    row = (await tx.execute(_CAUSE, where)).one_or_none()
    if row is None:
        return {}
    automation: UUID | None = row.automation_id
    return {
        "caused_by_run": str(row.id),
        "caused_by_automation": str(automation) if automation else "",
        "depth": row.depth + 1,
    }
