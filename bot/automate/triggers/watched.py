"""In which repositories triggers hear of what happens: those of the projects that runs are about.

the automation's own project · the projects that its context names · listed repositories that
are a project's here; what a search finds is found out when a run begins, and not watched
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.forge.port import ForgePort
from bot.govern import repositories
from bot.store.transaction import Transaction

KINDS = ("pull_request", "push", "issue_labelled", "ci_failed")
"""Of triggers."""

_TRIGGERS = text(
    """
    SELECT automation_trigger.id, automation_trigger.kind, automation_trigger.options,
           automation_trigger.created_at, automation.definition, automation.state,
           automation.project_id,
           coalesce(automation.runs_as_id, automation.approved_by, automation.creator_id)
               AS runs_as_id
      FROM automation_trigger
      JOIN automation ON automation.id = automation_trigger.automation_id
     WHERE automation_trigger.kind = ANY(:kinds) AND automation.state IN ('active', 'paused')
     ORDER BY automation_trigger.id
    """
)
_PROJECTS = text("SELECT id, name, repository_url FROM project WHERE removed_at IS NULL")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A trigger, and a repository in which it hears."""

    trigger: Any
    """Its row, with what of its automation matters."""
    project_id: UUID
    """Whose repository it is."""
    url: str

    @property
    def is_own(self) -> bool:
        """Whether it is the automation's own."""
        return bool(self.project_id == self.trigger.project_id)


async def watched(
    tx: Transaction, forges: Mapping[str, ForgePort], kinds: Iterable[str] = KINDS
) -> Sequence[Watched]:
    """Triggers of these kinds, of active and paused automations, each where it hears."""
    triggers = (await tx.execute(_TRIGGERS, {"kinds": list(kinds)})).all()
    if not triggers:
        return []
    projects = (await tx.execute(_PROJECTS)).all()
    return [
        Watched(trigger=trigger, project_id=project.id, url=project.repository_url)
        for trigger in triggers
        for project in _projects(trigger, projects, forges)
    ]


def _projects(trigger: Any, projects: Sequence[Any], forges: Mapping[str, ForgePort]) -> list[Any]:
    """The projects in whose repositories a trigger hears; none without its own."""
    context = trigger.definition.get("context") or {}
    names = set(context.get("projects") or ())
    addresses = {
        repositories.address(url)
        for name in context.get("repositories") or ()
        for url in repositories.named(forges, name) or [name]
    } - {""}
    found = [
        project
        for project in projects
        if project.id == trigger.project_id
        or project.name in names
        or repositories.address(project.repository_url) in addresses
    ]
    return found if any(project.id == trigger.project_id for project in found) else []
