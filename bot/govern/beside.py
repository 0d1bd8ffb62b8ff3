"""Repositories that a project's sessions have beside its own one: their rows, and what may be one.

A session has each of them in a directory of its own, beside that of the project's repository, on a
branch of its own; what its turns leave there becomes a pull request there. Who may do something
with the project is who may do it with all of its repositories (`bot.govern.rights`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import IntegrityError
from sqlalchemy import text

from bot.errors import NotFound, Refused
from bot.govern.projects import NAME
from bot.govern.repositories import address
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

BESIDE_MAX = 10
"""Of one project: each is cloned into every new machine."""

_OF_PROJECT = text(
    """
    SELECT id, name, url, base_branch FROM project_repository
     WHERE project_id = :project AND removed_at IS NULL ORDER BY name
    """
)
_OF_SESSION = text(
    """
    SELECT beside.id, beside.name, beside.url, beside.base_branch
      FROM project_repository AS beside JOIN session USING (project_id)
     WHERE session.id = :session AND beside.removed_at IS NULL ORDER BY beside.name
    """
)
_LOCK = text("SELECT name, repository_url FROM project WHERE id = :project FOR UPDATE")
_ADD = text(
    """
    INSERT INTO project_repository (id, project_id, name, url, base_branch)
    VALUES (:id, :project, :name, :url, :base_branch)
    """
)
_REMOVE = text(
    """
    UPDATE project_repository SET removed_at = now()
     WHERE project_id = :project AND name = :name AND removed_at IS NULL RETURNING id
    """
)


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A repository beside the project's own one."""

    id: UUID
    name: str
    url: str
    base_branch: str | None


def named(url: str) -> str:
    """What a repository is called when nobody says so."""
    last = re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip(".-_")[:63]


async def of_project(tx: Transaction, project_id: UUID) -> Sequence[Beside]:
    """Those of a project, by name."""
    rows = (await tx.execute(_OF_PROJECT, {"project": project_id})).all()
    return [Beside(**row._asdict()) for row in rows]


async def of_session(tx: Transaction, session_id: UUID) -> Sequence[Beside]:
    """Those of a session's project, by name."""
    rows = (await tx.execute(_OF_SESSION, {"session": session_id})).all()
    return [Beside(**row._asdict()) for row in rows]


async def add(
    tx: Transaction, project_id: UUID, *, name: str, url: str, base_branch: str | None
) -> None:
    """Add one, whose address was looked at before.

    :raises Refused: its name can't be one or is taken, it is there already, or there are too many
    """
    if not NAME.fullmatch(name):
        raise Refused(
            _("“{name}” can't be a repository's name", name=name[:80]),
            do=_("use up to 63 letters, digits, dots, dashes, underscores; no dot or dash first"),
        )
    if base_branch is not None and base_branch.startswith("-"):
        raise Refused(_("a branch does not begin with a dash"), do=_("give the branch's name"))
    project: Any = (await tx.execute(_LOCK, {"project": project_id})).one()
    there = await of_project(tx, project_id)
    if len(there) >= BESIDE_MAX:
        raise Refused(
            _("a project has at most {count} repositories beside its own", count=BESIDE_MAX),
            do=_("remove one first"),
        )
    if _same(url) in {_same(project.repository_url), *(_same(one.url) for one in there)}:
        raise Refused(_("the project has this repository already"))
    if name == project.name.partition("~")[0]:
        raise Refused(
            _("the directory {name} is that of the project's own repository", name=name),
            do=_("give another name"),
        )
    values = {
        "id": new_id(),
        "project": project_id,
        "name": name,
        "url": url,
        "base_branch": base_branch,
    }
    try:
        async with tx.begin_nested():
            await tx.execute(_ADD, values)
    except IntegrityError:
        raise Refused(
            _("the project has a repository {name} already", name=name), do=_("give another name")
        ) from None


def _same(url: str) -> str:
    """What a repository is known by, whatever the protocol it is reached by."""
    return address(url) or url.rstrip("/")


async def remove(tx: Transaction, project_id: UUID, name: str) -> None:
    """Remove one; what sessions made there stays in their machines. :raises NotFound:"""
    gone = await tx.execute(_REMOVE, {"project": project_id, "name": name})
    if gone.first() is None:
        raise NotFound(_("the project has no repository {name} beside its own", name=name[:80]))
