"""Projects: what may be one, adding and removing them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import IntegrityError
from sqlalchemy import text

from bot.errors import NotFound, Refused
from bot.govern.agents import AGENTS, check_agent
from bot.store.ids import new_id
from bot.store.transaction import Transaction

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""Also a directory's name in the machine."""

_LIST = text(
    """
    SELECT project.id, project.name, project.repository_url, project.base_branch, project.agent,
           project.vcpus, project.memory_mib, project.disk_gib, project.created_at,
           (SELECT count(*) FROM session WHERE session.project_id = project.id) AS sessions
      FROM project WHERE removed_at IS NULL AND (CAST(:name AS text) IS NULL OR name = :name)
     ORDER BY name
    """
)
_ADD = text(
    """
    INSERT INTO project (id, name, repository_url, base_branch, agent, vcpus, memory_mib, disk_gib)
    VALUES (:id, :name, :repository_url, :base_branch, :agent, :vcpus, :memory_mib, :disk_gib)
    """
)
_MAKE_WAY = text(
    """
    UPDATE project SET name = name || '~' || left(CAST(id AS text), 8)
     WHERE name = :name AND removed_at IS NOT NULL
    """
)
_REMOVE = text(
    "UPDATE project SET removed_at = now() WHERE name = :name AND removed_at IS NULL RETURNING id"
)


@dataclass(frozen=True, kw_only=True)
class NewProject:
    """What somebody wants to add."""

    name: str
    repository_url: str
    """See `bot.work.remote`."""
    base_branch: str | None = None
    agent: str = AGENTS[0]
    vcpus: int | None = None
    memory_mib: int | None = None
    disk_gib: int | None = None


def check(project: NewProject) -> None:
    """Whether it can be added, its repository's address aside.

    :raises Refused: the name, branch or agent can't be used
    """
    if not NAME.fullmatch(project.name):
        raise Refused(
            f"“{project.name[:80]}” can't be a project's name",
            do="use up to 63 letters, digits, dots, dashes, underscores; no dot or dash first",
        )
    if project.base_branch is not None and project.base_branch.startswith("-"):
        raise Refused("a branch does not begin with a dash", do="give the branch's name")
    check_agent(project.agent)


async def add_project(tx: Transaction, project: NewProject) -> UUID:
    """Add a project; the name of a removed one may be used again.

    :raises Refused: not fit, or the name is taken
    """
    check(project)
    await tx.execute(_MAKE_WAY, {"name": project.name})
    project_id = new_id()
    try:
        async with tx.begin_nested():
            await tx.execute(_ADD, {"id": project_id, **vars(project)})
    except IntegrityError:
        raise Refused(
            f"there is a project {project.name} already", do="give another name, or remove it first"
        ) from None
    return project_id


async def remove_project(tx: Transaction, name: str) -> None:
    """Remove a project from what new sessions can work on; its sessions stay.

    :raises NotFound:
    """
    if (await tx.execute(_REMOVE, {"name": name})).first() is None:
        raise _unknown(name)


async def list_projects(tx: Transaction) -> Sequence[Mapping[str, Any]]:
    """The projects by name."""
    return [dict(row) for row in (await tx.execute(_LIST, {"name": None})).mappings()]


async def get_project(tx: Transaction, name: str) -> Mapping[str, Any]:
    """One project. :raises NotFound:."""
    row = (await tx.execute(_LIST, {"name": name})).mappings().one_or_none()
    if row is None:
        raise _unknown(name)
    return dict(row)


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no project {name[:80]}", do="`ona projects` lists those there are")
