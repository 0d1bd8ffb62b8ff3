"""Projects: what may be one, adding and removing them."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import IntegrityError
from sqlalchemy import text

from bot.errors import NotFound, Refused
from bot.govern.agents import Agents
from bot.govern.instructions import check_text
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.catalogue import grouped

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""Also a directory's name in the machine."""
COMMAND_CHARACTERS_MAX = 10_000
COMMANDS_MAX = 50
"""Of set-up and services together."""
PORTS_MAX = 8
PORT_MAX = 65535

_LIST = text(
    """
    SELECT project.id, project.name, project.repository_url, project.base_branch, project.agent,
           project.size, project.setup, project.start, project.ports, project.instructions,
           project.created_at,
           (SELECT count(*) FROM session WHERE session.project_id = project.id) AS sessions
      FROM project WHERE removed_at IS NULL AND (CAST(:name AS text) IS NULL OR name = :name)
     ORDER BY name
    """
)
_ADD = text(
    """
    INSERT INTO project (id, name, repository_url, base_branch, agent, size, setup, start,
                         ports, instructions)
    VALUES (:id, :name, :repository_url, :base_branch, :agent, :size, CAST(:setup AS jsonb),
            CAST(:start AS jsonb), CAST(:ports AS jsonb), :instructions)
    """
)
_CHANGE = text(
    """
    UPDATE project SET base_branch = :base_branch, agent = :agent, size = :size,
           setup = CAST(:setup AS jsonb), start = CAST(:start AS jsonb),
           ports = CAST(:ports AS jsonb), instructions = :instructions
     WHERE name = :name AND removed_at IS NULL RETURNING id
    """
)
_REBUILD = text(
    "UPDATE project SET rebuild_at = now() WHERE name = :name AND removed_at IS NULL RETURNING id"
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
    agent: str | None = None
    """None: the installation's default."""
    size: str | None = None
    setup: Sequence[str] = ()
    start: Sequence[str] = ()
    ports: Sequence[int] = ()
    instructions: str = ""


def check_size(name: str, sizes: Collection[str]) -> None:
    """:raises Refused: there is no size of that name."""
    if name not in sizes:
        raise Refused(
            _("there is no size {name}", name=name[:80]),
            do=_("known are: {names}", names=", ".join(sizes)),
        )


def check(project: NewProject, sizes: Collection[str], agents: Agents) -> None:
    """Whether it can be added, its repository's address aside.

    :raises Refused: the name, branch, agent, size or a command can't be used
    """
    if not NAME.fullmatch(project.name):
        raise Refused(
            _("“{name}” can't be a project's name", name=project.name[:80]),
            do=_("use up to 63 letters, digits, dots, dashes, underscores; no dot or dash first"),
        )
    if project.base_branch is not None and project.base_branch.startswith("-"):
        raise Refused(_("a branch does not begin with a dash"), do=_("give the branch's name"))
    agents.chosen(project.agent)
    if project.size is not None:
        check_size(project.size, sizes)
    for command in (*project.setup, *project.start):
        if not command.strip() or "\x00" in command or len(command) > COMMAND_CHARACTERS_MAX:
            raise Refused(
                _(
                    "a command has 1 to {most} characters",
                    most=grouped(COMMAND_CHARACTERS_MAX),
                ),
                do=_("put it into a file"),
            )
    if len(project.setup) + len(project.start) > COMMANDS_MAX:
        raise Refused(
            _("a project has at most {most} commands", most=COMMANDS_MAX),
            do=_("put them into a file and call that"),
        )
    _check_ports(project.ports)
    check_text(project.instructions)


def _check_ports(ports: Sequence[int]) -> None:
    for port in ports:
        if not 0 < port <= PORT_MAX:
            raise Refused(
                _("there is no port {port}", port=port),
                do=_("use numbers from 1 to {most}", most=str(PORT_MAX)),
            )
    if len(ports) > PORTS_MAX:
        raise Refused(
            _("a project has at most {most} ports", most=PORTS_MAX),
            do=_("name those that people look at"),
        )


async def add_project(tx: Transaction, project: NewProject) -> UUID:
    """Add a checked project; the name of a removed one may be used again.

    :raises Refused: the name is taken
    """
    await tx.execute(_MAKE_WAY, {"name": project.name})
    project_id = new_id()
    try:
        async with tx.begin_nested():
            await tx.execute(_ADD, {"id": project_id, **_columns(project)})
    except IntegrityError:
        raise Refused(
            _("there is a project {name} already", name=project.name),
            do=_("give another name, or remove it first"),
        ) from None
    return project_id


async def change_project(tx: Transaction, project: NewProject) -> None:
    """Give a project what `project` says, checked before, its repository aside.

    :raises NotFound:
    """
    values = _columns(project)
    del values["repository_url"]
    if (await tx.execute(_CHANGE, values)).first() is None:
        raise _unknown(project.name)


async def rebuild(tx: Transaction, name: str) -> None:
    """Have the templates of a project built again. :raises NotFound:."""
    if (await tx.execute(_REBUILD, {"name": name})).first() is None:
        raise _unknown(name)


def _columns(project: NewProject) -> dict[str, Any]:
    lists = {"setup": project.setup, "start": project.start, "ports": project.ports}
    return {**vars(project), **{name: json.dumps(list(some)) for name, some in lists.items()}}


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
    return NotFound(
        _("there is no project {project}", project=name[:80]),
        do=_("`ona projects` lists those there are"),
    )
