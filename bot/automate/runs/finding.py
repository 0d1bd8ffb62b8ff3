"""What a run of an automation would work on, and in whose name: found out, nothing is written.

automation ─▶ in whose name ─▶ targets: outside of any transaction, code hosts are asked
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import text

from bot.automate.definition import Definition, Search, restored
from bot.automate.runs.targets import Known, Repository, Target, targets
from bot.errors import NotFound, Refused
from bot.govern.access import Act, Standing, require
from bot.govern.people import standing_of
from bot.store.database import Database
from bot.store.transaction import Transaction
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _

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
class Found:
    """An automation with its targets."""

    row: Any
    definition: Definition
    targets: Sequence[Target]


@dataclass(frozen=True, kw_only=True)
class Counting(Found):
    """The same of what counts."""

    runs_as: Standing


class Finding:
    """Finds out what runs would work on."""

    def __init__(self, database: Database, repositories: Repositories) -> None:
        self._database = database
        self._repositories = repositories

    async def counting(
        self, automation_id: UUID, happened_in: str = "", *, by_hand: bool = False
    ) -> Counting:
        """What a run of what counts now would be.

        :param happened_in: address of the repository that its cause is about
        :param by_hand: a person begins it, which a pause does not keep them from
        :raises NoRun: none would begin
        :raises NotFound: there is no such automation
        :raises OnaError: a code host can't be asked now
        """
        async with self._database.begin() as tx:
            row = await _row(tx, automation_id)
            definition = _definition(row, by_hand=by_hand)
            if row.runs_as_id is None:
                raise NoRun("runs_as", _("nobody is known in whose name it works"))
            who = await standing_of(tx, row.runs_as_id)
            _check_standing(who)
            projects = (await tx.execute(_PROJECTS)).all()
        on = await self._targets(row, definition, projects, happened_in)
        return Counting(row=row, definition=definition, targets=on, runs_as=who)

    async def proposed(self, automation_id: UUID) -> Found | None:
        """What a file proposes of which nothing counts yet; None: something does, or nothing is.

        :raises NoRun: it could not run
        :raises NotFound: there is no such automation
        :raises OnaError: a code host can't be asked now
        """
        async with self._database.begin() as tx:
            row = await _row(tx, automation_id)
            projects = (await tx.execute(_PROJECTS)).all()
        if row.digest or not (row.proposed_digest and row.project_there):
            return None
        definition = _readable(row.proposed)
        on = await self._targets(row, definition, projects, "")
        return Found(row=row, definition=definition, targets=on)

    async def _targets(
        self, row: Any, definition: Definition, projects: Sequence[Any], happened_in: str
    ) -> Sequence[Target]:
        """What it works on. :raises NoRun: nothing, or too much"""
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


class NoRun(Exception):
    """No run comes of it."""

    def __init__(self, why: str, told: Message) -> None:
        super().__init__(why)
        self.why, self.told = why, told


def _definition(row: Any, *, by_hand: bool) -> Definition:
    """What counts of an automation. :raises NoRun: it may not run"""
    if row.state == "removed" or not row.project_there:
        raise NoRun("gone", _("the automation or its project was removed"))
    if not row.digest:
        raise NoRun(
            "paused", _("nobody has approved this automation yet: `ona automations approve`")
        )
    if row.state == "paused" and not by_hand:
        raise NoRun("paused", _("the automation is paused"))
    return _readable(row.definition)


def _readable(kept: dict[str, Any]) -> Definition:
    try:
        return restored(kept)
    except ValueError as error:
        raise NoRun("gone", _("the automation can't be read any more")) from error


def _check_standing(who: Standing) -> None:
    try:
        require(who, Act.PROMPT)
    except Refused as error:
        raise NoRun("runs_as", Message(error.happened)) from error


def _check_count(found: Sequence[Target], definition: Definition) -> None:
    if not found:
        raise NoRun("no_targets", _("there is nothing that it could work on"))
    most = definition.limits.targets
    if len(found) > most:
        raise NoRun(
            "too_many",
            _("it would work on more than {most} repositories, the limit that it sets", most=most),
        )


async def _row(tx: Transaction, automation_id: UUID) -> Any:
    row = (await tx.execute(_AUTOMATION, {"automation": automation_id})).one_or_none()
    if row is None:
        raise NotFound(_("there is no such automation"))
    return row
