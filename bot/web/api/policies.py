"""What machines may reach: the policies of projects, and the installation's lines."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from bot.govern import policy
from bot.govern.access import Act
from bot.web import adding, governing
from bot.web.services import Services
from bot.web.visitor import Known, Provided
from vmpool.network.policy import Policy

router = APIRouter(tags=["policies"])


@router.get("/policy", response_model=governing.Installation)
async def show_installation(visitor: Known, services: Provided) -> object:
    """The lines that count for every project."""
    visitor.require(Act.SEE)
    return {"lines": _lines(services.policy)}


@router.get("/projects/{name}/policy", response_model=governing.ProjectPolicy)
async def show_policy(
    name: str, visitor: Known, services: Provided, version: Annotated[int | None, Query()] = None
) -> object:
    """A project's policy, the newest version unless another one is named."""
    project = await adding.find_project(visitor, services, name, Act.SEE)
    async with services.database.begin() as tx:
        found = await policy.versions(tx, project["id"], version)
    none = {"version": 0, "name": "", "source": "", "set_at": None, "set_by": None}
    newest = found[0] if found else none
    return {**newest, "project": name, "installation": _lines(services.policy)}


@router.put("/projects/{name}/policy", response_model=governing.SetPolicy)
async def set_policy(
    name: str, new: governing.NewPolicy, visitor: Known, services: Provided
) -> object:
    """Let a project have another policy; the one before is kept as a version."""
    visitor.require(Act.POLICY)
    version = await put(services, visitor, name, new.source, file=new.name)
    return {"project": name, "version": version}


@router.get("/projects/{name}/policy/versions", response_model=governing.Versions)
async def list_versions(name: str, visitor: Known, services: Provided) -> object:
    """The versions of a project's policy, the newest first."""
    project = await adding.find_project(visitor, services, name, Act.SEE)
    async with services.database.begin() as tx:
        found = await policy.versions(tx, project["id"])
    return {"versions": [{**row, "project": name} for row in found]}


@router.get("/projects/{name}/policy/test", response_model=governing.Tested)
async def test_policy(
    name: str,
    visitor: Known,
    services: Provided,
    url: Annotated[str, Query(max_length=2000, description="a URL, HOST or HOST:PORT")],
) -> object:
    """What a project's policy says of a destination, and by which line."""
    project = await adding.find_project(visitor, services, name, Act.SEE)
    async with services.database.begin() as tx:
        counts = await policy.effective(tx, project["id"], services.policy)
    decision = policy.explain(counts.policy, url)
    rule = decision.rule
    return {
        "allowed": decision.allowed,
        "reason": decision.reason,
        "line": None if rule is None else str(rule),
        "source": None if rule is None else rule.source,
        "version": counts.version,
    }


async def put(services: Services, visitor: Known, name: str, source: str, *, file: str) -> int:
    """Set a project's policy; its version. :raises TellPerson:"""
    visitor.require(Act.POLICY)
    project = await adding.find_project(visitor, services, name, Act.SEE)
    async with services.database.begin() as tx:
        return await policy.set_policy(tx, project["id"], source, name=file, by=visitor.source)


def _lines(lines: Policy) -> list[dict[str, Any]]:
    return [
        {
            "line": str(rule),
            "allow": rule.allow,
            "service": rule in lines.services,
            "source": rule.source,
        }
        for rule in lines.lines()
    ]
