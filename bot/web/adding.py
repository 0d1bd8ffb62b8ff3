"""Adding and changing a project for somebody who asks over the web, by page or API."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from bot.govern import beside, projects
from bot.govern.access import Act
from bot.govern.agents import agents_of
from bot.govern.audit import record
from bot.govern.projects import NewProject
from bot.store.database import MACHINES
from bot.web import reading
from bot.web.repository import shown
from bot.web.services import Services
from bot.web.visitor import NEEDS, Visitor, require_project
from bot.work.remote import remote


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewBeside:
    """A repository that somebody wants beside a project's own."""

    url: str
    name: str = ""
    """Empty: as its address ends."""
    base_branch: str | None = None


async def find_project(
    visitor: Visitor, services: Services, name: str, act: Act
) -> Mapping[str, Any]:
    """A project with which they may do that. :raises NotFound: :raises Refused:"""
    async with services.database.begin() as tx:
        found = await reading.project(tx, name)
    await require_project(visitor, services, act, found["id"])
    return found


async def names(visitor: Visitor, services: Services) -> list[str]:
    """The projects that a form of theirs can name."""
    async with services.database.begin() as tx:
        rows = await projects.list_projects(tx)
    seen = await services.rights.visible(visitor.standing, rows, key="id")
    return [row["name"] for row in seen]


async def add_project(visitor: Visitor, services: Services, new: NewProject) -> str:
    """Add a project once its repository could be read; what happens next, for the person.

    :raises TellPerson: they may not, it can't be read, or its name can't be used
    """
    visitor.require(Act.PROJECTS)
    projects.check(new, services.settings.sizes, agents_of(services.settings))
    if remote(new.repository_url).path is not None:
        visitor.require(Act.HOST_FILES)
    await services.rights.require_at(visitor.standing, new.repository_url, NEEDS[Act.PROJECTS])
    await services.check_repository(new.repository_url)
    async with services.database.begin() as tx:
        project_id = await projects.add_project(tx, new)
        body = {"repository": shown(new.repository_url)}
        event = visitor.did("project.added", new.name, project_id=project_id, body=body)
        await record(tx, event)
        tx.hint(MACHINES, new.name)
    if not services.settings.pool.enabled:
        return f"Project {new.name} is added."
    return (
        f"Project {new.name} is added. The template of its machines is built next; "
        "`ona templates` and the page Pools show how far it is. A session need not wait for it."
    )


async def change_project(
    visitor: Visitor, services: Services, name: str, changes: Mapping[str, Any]
) -> None:
    """Change what `changes` names of a project; templates follow by themselves.

    :raises TellPerson: they may not, there is no such project, or it can't be so
    """
    found = await find_project(visitor, services, name, Act.PROJECTS)
    async with services.database.begin() as tx:
        known = await projects.get_project(tx, name)
        fields = {field.name: known[field.name] for field in dataclasses.fields(NewProject)}
        new = NewProject(**{**fields, **changes})
        projects.check(new, services.settings.sizes, agents_of(services.settings))
        await projects.change_project(tx, new)
        body = {"changed": sorted(changes)}
        await record(tx, visitor.did("project.changed", name, project_id=found["id"], body=body))
        tx.hint(MACHINES, name)


async def add_repository(
    visitor: Visitor, services: Services, project: str, new: NewBeside
) -> Mapping[str, Any]:
    """Let a project's sessions have another repository, once that could be read.

    Who adds it may do with it what a project's own one asks for; the project then.

    :raises TellPerson: they may not, it can't be read, or its name can't be used
    """
    found = await find_project(visitor, services, project, Act.PROJECTS)
    if remote(new.url).path is not None:
        visitor.require(Act.HOST_FILES)
    await services.rights.require_at(visitor.standing, new.url, NEEDS[Act.PROJECTS])
    await services.check_repository(new.url)
    name = new.name or beside.named(new.url)
    async with services.database.begin() as tx:
        await beside.add(tx, found["id"], name=name, url=new.url, base_branch=new.base_branch)
        body = {"repository": shown(new.url), "name": name}
        event = visitor.did("project.changed", project, project_id=found["id"], body=body)
        await record(tx, event)
        return await reading.project(tx, project)


async def remove_repository(visitor: Visitor, services: Services, project: str, name: str) -> str:
    """Take a repository away that a project has beside its own; one sentence for the person.

    :raises TellPerson: they may not, or there is none
    """
    found = await find_project(visitor, services, project, Act.PROJECTS)
    async with services.database.begin() as tx:
        await beside.remove(tx, found["id"], name)
        body = {"removed": name}
        event = visitor.did("project.changed", project, project_id=found["id"], body=body)
        await record(tx, event)
    return f"{name} is no repository of {project} any more; what sessions pushed stays."


async def remove_project(visitor: Visitor, services: Services, name: str) -> str:
    """Remove a project; one sentence for the person.

    :raises TellPerson: they may not, or there is no such project
    """
    found = await find_project(visitor, services, name, Act.PROJECTS)
    async with services.database.begin() as tx:
        await projects.remove_project(tx, name)
        await record(tx, visitor.did("project.removed", name, project_id=found["id"]))
    return f"Project {name} is removed; its sessions stay."


async def rebuild(visitor: Visitor, services: Services, name: str) -> str:
    """Have the templates of a project built again; one sentence for the person.

    :raises TellPerson: they may not, or there is no such project
    """
    found = await find_project(visitor, services, name, Act.PROJECTS)
    async with services.database.begin() as tx:
        await projects.rebuild(tx, name)
        await record(tx, visitor.did("templates.rebuilt", name, project_id=found["id"]))
        tx.hint(MACHINES, name)
    return (
        f"The templates of {name} are built again, one after the other; `ona templates` shows it."
    )
