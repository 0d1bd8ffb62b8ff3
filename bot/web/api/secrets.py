"""Secrets of projects: set, named, tried and removed by operators; never given out."""

from uuid import UUID

from fastapi import APIRouter

from bot.errors import Unfit
from bot.govern.access import Act
from bot.govern.audit import Audited, record
from bot.govern.policy import effective
from bot.govern.projects import get_project
from bot.govern.secrets import Secrets
from bot.web import shapes
from bot.web.services import Services
from bot.web.visitor import Known, Provided, Visitor

router = APIRouter(prefix="/projects/{project}/secrets", tags=["secrets"])


async def _secrets(project: str, visitor: Visitor, services: Services) -> tuple[Secrets, UUID]:
    """Where they are, and the project's id.

    :raises OnaError: they may not, there is no such project, or no Vault
    """
    visitor.require(Act.SECRETS)
    async with services.database.begin() as tx:
        found = await get_project(tx, project)
    if services.secrets is None:
        raise Unfit(
            "this installation has no Vault",
            kept="nothing was stored",
            do="start it with `ona up`, which brings one, or set vault.address",
        )
    return services.secrets, found["id"]


async def _audit(services: Services, event: Audited) -> None:
    # Vault has done it by now: it is no part of a transaction of ours.
    async with services.database.begin() as tx:
        await record(tx, event)


@router.get("", response_model=shapes.Secrets)
async def list_secrets(project: str, visitor: Known, services: Provided) -> object:
    """The names of a project's secrets, since when they are as they are, and who set them."""
    known, _ = await _secrets(project, visitor, services)
    return {"secrets": [vars(one) for one in await known.list(project)]}


@router.put("/{name:path}", response_model=shapes.Told)
async def set_secret(
    project: str, name: str, secret: shapes.NewSecret, visitor: Known, services: Provided
) -> shapes.Told:
    """Store a value; the one before is not used any more."""
    known, project_id = await _secrets(project, visitor, services)
    await known.set(project, name, secret.value, visitor.standing)
    await _audit(services, visitor.did("secret.set", f"{project}/{name}", project_id=project_id))
    return shapes.Told(text=f"Secret {name} of project {project} is set.")


@router.post("/{name:path}/test", response_model=shapes.TriedSecret)
async def try_secret(project: str, name: str, visitor: Known, services: Provided) -> object:
    """Read it as a turn of the project would; its fields' names come back, and what uses it."""
    known, project_id = await _secrets(project, visitor, services)
    async with services.database.begin() as tx:
        document = (await effective(tx, project_id, services.policy)).document
    tried = await known.test(project, name, visitor.standing)
    used_by = [use.told for use in known.uses(document, project, name, tried)]
    return {**vars(tried), "used_by": used_by}


@router.delete("/{name:path}", response_model=shapes.Told)
async def remove_secret(project: str, name: str, visitor: Known, services: Provided) -> shapes.Told:
    """Remove every version of it."""
    known, project_id = await _secrets(project, visitor, services)
    await known.remove(project, name)
    place = f"{project}/{name}"
    await _audit(services, visitor.did("secret.removed", place, project_id=project_id))
    return shapes.Told(text=f"Secret {name} of project {project} is removed.")
