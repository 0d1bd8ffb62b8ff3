"""What machines of a project may reach and what its turns get: seen, tried and set."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from fastapi.responses import RedirectResponse, Response

from bot.errors import OnaError
from bot.govern.access import Act, may
from bot.govern.policy_text import SOURCE_CHARACTERS_MAX
from bot.web import policies
from bot.web.answers import status_of
from bot.web.rendering import page
from bot.web.services import Services
from bot.web.visitor import Known, Provided, Visitor

router = APIRouter(prefix="/projects/{name}/policy")
FILE = "policy.toml"
"""What a policy is called that was written here."""


@router.get("")
async def show(
    name: str,
    visitor: Known,
    services: Provided,
    version: Annotated[int | None, Query(ge=1)] = None,
    url: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """A project's policy and its versions; what it says of a destination, if one is named."""
    found: dict[str, Any] = {}
    wrong = None
    try:
        if url.strip():
            found = await policies.tested(visitor, services, name, url.strip())
    except OnaError as error:
        wrong = error
    return await _page(visitor, services, name, version=version, url=url, tested=found, wrong=wrong)


@router.post("")
async def put(
    name: str,
    visitor: Known,
    services: Provided,
    source: Annotated[str, Form(max_length=2 * SOURCE_CHARACTERS_MAX)] = "",
) -> Response:
    """Set it; what was typed is kept when it can't be read."""
    visitor.require(Act.POLICY)
    source = source.replace("\r\n", "\n")
    try:
        await policies.put(visitor, services, name, source, file=FILE)
    except OnaError as error:
        return await _page(visitor, services, name, typed=source, error=error)
    return RedirectResponse(f"/projects/{name}/policy", status_code=303)


async def _page(
    visitor: Visitor,
    services: Services,
    name: str,
    *,
    version: int | None = None,
    url: str = "",
    tested: dict[str, Any] | None = None,
    wrong: OnaError | None = None,
    typed: str | None = None,
    error: OnaError | None = None,
) -> Response:
    versions = await policies.versions(visitor, services, name)
    shown: dict[str, Any] = versions[0] if versions else policies.NONE
    if version is not None:
        shown = (await policies.versions(visitor, services, name, version))[0]
    problem = error or wrong
    return page(
        "policy.html",
        visitor,
        status=200 if problem is None else status_of(problem),
        project=name,
        shown=shown,
        versions=versions,
        source=shown["source"] if typed is None else typed,
        installation=policies.lines(services.policy),
        may_set=may(visitor.standing, Act.POLICY),
        url=url,
        tested=tested or {},
        wrong=wrong,
        error=error,
        source_max=SOURCE_CHARACTERS_MAX,
    )
