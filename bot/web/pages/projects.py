"""The projects."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from bot.errors import OnaError, Refused
from bot.govern import projects
from bot.govern.access import Act
from bot.govern.agents import agents_of
from bot.web import adding, reading
from bot.web.rendering import page, told
from bot.web.services import Services
from bot.web.visitor import Known, Provided, Visitor
from bot.words.catalogue import gettext as _

router = APIRouter(prefix="/projects")
EMPTY = dict.fromkeys(
    (
        *("name", "repository_url", "base_branch", "agent", "size"),
        *("setup", "start", "ports", "instructions"),
    ),
    "",
)


@router.get("")
async def show(visitor: Known, services: Provided) -> Response:
    """The projects, and a form to add one."""
    visitor.require(Act.SEE)
    return await _page(visitor, services, filled=EMPTY, error=None)


@router.post("")
async def add(
    *,
    visitor: Known,
    services: Provided,
    name: Annotated[str, Form()] = "",
    repository_url: Annotated[str, Form()] = "",
    base_branch: Annotated[str, Form()] = "",
    agent: Annotated[str, Form()] = "",
    size: Annotated[str, Form()] = "",
    setup: Annotated[str, Form()] = "",
    start: Annotated[str, Form()] = "",
    ports: Annotated[str, Form()] = "",
    instructions: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "",
) -> Response:
    """Add a project once its repository could be read; what was typed is kept when not."""
    try:
        new = projects.NewProject(
            name=name.strip(),
            repository_url=repository_url.strip(),
            base_branch=base_branch.strip() or None,
            agent=agent or None,
            size=size or None,
            setup=_commands(setup),
            start=_commands(start),
            ports=_ports(ports),
            instructions=instructions.replace("\r\n", "\n").strip("\n"),
        )
        await adding.add_project(visitor, services, new)
    except OnaError as error:
        filled = {
            "name": name,
            "repository_url": repository_url,
            "base_branch": base_branch,
            "agent": agent,
            "size": size,
            "setup": setup,
            "start": start,
            "ports": ports,
            "instructions": instructions,
        }
        return await _page(visitor, services, filled=filled, error=error)
    return RedirectResponse("/setup" if back == "setup" else "/projects", status_code=303)


@router.post("/{name}/remove")
async def remove(name: str, request: Request, visitor: Known, services: Provided) -> Response:
    """Remove a project; its sessions stay."""
    said = await adding.remove_project(visitor, services, name)
    return told(request, said, back="/projects")


def _commands(said: str) -> list[str]:
    """One a line."""
    return [line.strip() for line in said.splitlines() if line.strip()]


def _ports(said: str) -> list[int]:
    """With spaces or commas between them. :raises Refused: one is no number"""
    found = said.replace(",", " ").split()
    for one in found:
        if not (one.isdecimal() and len(one) <= len(str(projects.PORT_MAX))):
            raise Refused(_("there is no port {port}", port=one[:20]))
    return [int(one) for one in found]


async def _page(
    visitor: Visitor, services: Services, *, filled: dict[str, str], error: OnaError | None
) -> Response:
    async with services.database.begin() as tx:
        found = await reading.projects(tx)
    found = await services.rights.visible(visitor.standing, found, key="id")
    return page(
        "projects.html",
        visitor,
        status=200 if error is None else 422,
        projects=found,
        filled=filled,
        sizes=services.settings.sizes,
        default_size=services.settings.machine.size,
        agents=agents_of(services.settings),
        error=error,
    )
