"""What a run works on: the projects that an automation's context means; pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from bot.automate.definition import Context
from bot.words.catalogue import N_

NO_PROJECT = N_("there is no such project")
NOT_ADDED = N_("the repository has no project here")


@dataclass(frozen=True, kw_only=True)
class Known:
    """A project that there is."""

    id: UUID
    name: str
    address: str
    """Of its repository, as host and path in lower case; empty: it has none."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """One that a context names or its search found."""

    name: str
    """As people call it."""
    url: str
    address: str
    why: str = ""
    """Why nothing can be done there: `archived`, `empty`, `gone`."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One of a run, in the order in which they were named."""

    name: str
    """As people call it: the project's name, or the repository's."""
    project_id: UUID | None = None
    url: str = ""
    """Of a repository that is to be given a project."""
    why: str = ""
    """Why nothing is done for it, in the source language."""


def targets(
    context: Context,
    own: Known,
    known: Sequence[Known],
    repositories: Iterable[Repository],
    happened_in: str = "",
) -> list[Target]:
    """The targets, each once.

    :param own: the automation's project: the only target where the context names none
    :param repositories: what the context's own list and search came to
    :param happened_in: address of the repository that the run's cause is about
    """
    by_name = {one.name: one for one in known}
    by_address = {one.address: one for one in known if one.address}
    found: dict[object, Target] = {}
    for name in context.projects:
        one = by_name.get(name)
        target = _of(one) if one else Target(name=name, why=NO_PROJECT)
        found.setdefault(target.project_id or name, target)
    for repository in repositories:
        target = _at(repository, by_address.get(repository.address), adds=context.add_projects)
        found.setdefault(target.project_id or repository.address, target)
    if not (context.projects or context.repositories or context.search):
        return [_of(own)]
    return _about(list(found.values()), by_address.get(happened_in), own)


def _about(every: list[Target], cause: Known | None, own: Known) -> list[Target]:
    """Something that happened in one of several projects is about that one alone."""
    if cause is None or cause.id == own.id:
        return every
    return [one for one in every if one.project_id == cause.id] or every


def _of(project: Known) -> Target:
    return Target(name=project.name, project_id=project.id)


_WHY_NOT = {
    "archived": N_("the repository is archived"),
    "empty": N_("the repository is empty"),
    "gone": N_("the repository is not there, or we may not see it"),
}


def _at(repository: Repository, project: Known | None, *, adds: bool) -> Target:
    if repository.why:
        why = _WHY_NOT[repository.why]
        return Target(name=repository.name, project_id=project.id if project else None, why=why)
    if project is not None:
        return Target(name=repository.name, project_id=project.id)
    if adds:
        return Target(name=repository.name, url=repository.url)
    return Target(name=repository.name, why=NOT_ADDED)
