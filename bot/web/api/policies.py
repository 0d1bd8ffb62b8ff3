"""What machines may reach: the policies of projects, and the installation's lines."""

from typing import Annotated

from fastapi import APIRouter, Query

from bot.govern.access import Act
from bot.web import governing, policies
from bot.web.visitor import Known, Provided

router = APIRouter(tags=["policies"])


@router.get("/policy", response_model=governing.Installation)
async def show_installation(visitor: Known, services: Provided) -> object:
    """The lines that count for every project."""
    visitor.require(Act.SEE)
    return {"lines": policies.lines(services.policy)}


@router.get("/projects/{name}/policy", response_model=governing.ProjectPolicy)
async def show_policy(
    name: str, visitor: Known, services: Provided, version: Annotated[int | None, Query()] = None
) -> object:
    """A project's policy, the newest version unless another one is named."""
    found = await policies.versions(visitor, services, name, version)
    newest = found[0] if found else policies.NONE
    return {**newest, "project": name, "installation": policies.lines(services.policy)}


@router.put("/projects/{name}/policy", response_model=governing.SetPolicy)
async def set_policy(
    name: str, new: governing.NewPolicy, visitor: Known, services: Provided
) -> object:
    """Let a project have another policy; the one before is kept as a version."""
    version = await policies.put(visitor, services, name, new.source, file=new.name)
    return {"project": name, "version": version}


@router.get("/projects/{name}/policy/versions", response_model=governing.Versions)
async def list_versions(name: str, visitor: Known, services: Provided) -> object:
    """The versions of a project's policy, the newest first."""
    return {"versions": await policies.versions(visitor, services, name)}


@router.get("/projects/{name}/policy/test", response_model=governing.Tested)
async def test_policy(
    name: str,
    visitor: Known,
    services: Provided,
    url: Annotated[str, Query(max_length=2000, description="a URL, HOST or HOST:PORT")],
) -> object:
    """What a project's policy says of a destination, and by which line."""
    return await policies.tested(visitor, services, name, url)
