"""People, sign-in links and API tokens."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from bot.govern import credentials, people, service_accounts
from bot.govern.access import Act, may
from bot.govern.audit import record
from bot.web import accounts
from bot.web.rendering import page
from bot.web.services import Services
from bot.web.signing import link_url
from bot.web.visitor import Known, Provided, Visitor

router = APIRouter()


@router.get("/people")
async def show_people(visitor: Known, services: Provided) -> Response:
    """Everybody."""
    visitor.require(Act.SEE)
    return await _people(visitor, services)


@router.post("/people")
async def add_person(
    *,
    request: Request,
    visitor: Known,
    services: Provided,
    name: Annotated[str, Form()] = "",
    service: Annotated[str, Form()] = "",
) -> Response:
    """Add a person and show their sign-in link this once, or a service account, which has none."""
    visitor.require(Act.PEOPLE)
    async with services.database.begin() as tx:
        added = await people.add_person(tx, name, is_service=bool(service))
        await record(tx, visitor.did(f"{'service' if service else 'person'}.added", added.name))
    if service:
        return RedirectResponse("/people", status_code=303)
    return await _with_link(request, visitor, services, added.person_id)


@router.post("/people/{person}/link")
async def make_link(person: UUID, request: Request, visitor: Known, services: Provided) -> Response:
    """Show a new sign-in link this once."""
    visitor.require(Act.SEE if person == visitor.id else Act.PEOPLE)
    return await _with_link(request, visitor, services, person)


@router.post("/people/{person}/accounts")
async def connect_account(
    *,
    person: UUID,
    visitor: Known,
    services: Provided,
    forge: Annotated[str, Form()] = "",
    account: Annotated[str, Form()] = "",
    login: Annotated[str, Form()] = "",
) -> Response:
    """Let an account on a forge be a service account's."""
    visitor.require(Act.PEOPLE)
    port = accounts.forge_of(services, forge)
    async with services.database.begin() as tx:
        who = await people.standing_of(tx, person)
        await service_accounts.connect(tx, who, forge, port, account=account.strip(), login=login)
        body = {"forge": forge, "id": account, "login": login}
        await record(tx, visitor.did("service.connected", who.name, body=body))
    return RedirectResponse("/people", status_code=303)


@router.post("/people/{person}/{change}")
async def change_person(
    person: UUID,
    change: Literal["deactivate", "activate"],
    visitor: Known,
    services: Provided,
) -> Response:
    """Deactivate a person, or let them in again."""
    visitor.require(Act.PEOPLE)
    async with services.database.begin() as tx:
        who = await people.standing_of(tx, person)
        if change == "activate":
            await people.activate(tx, person)
        else:
            people.check_other(who, visitor.standing)
            await people.deactivate(tx, person)
        await record(tx, visitor.did(f"person.{change}d", who.name))
    return RedirectResponse("/people", status_code=303)


@router.get("/tokens")
async def show_tokens(visitor: Known, services: Provided) -> Response:
    """Your API tokens."""
    return await _tokens(visitor, services)


@router.post("/tokens")
async def make_token(
    visitor: Known,
    services: Provided,
    name: Annotated[str, Form()] = "",
    days: Annotated[str, Form(pattern=r"^\d{0,4}$")] = "",
) -> Response:
    """Make an API token and show it this once."""
    async with services.database.begin() as tx:
        life = float(days) if days.strip("0") else None
        secret = await credentials.issue_token(tx, visitor.id, name, life)
        await record(tx, visitor.did("token.made", name, body={"days": life}))
    return await _tokens(visitor, services, made={"name": name, "token": secret})


@router.post("/tokens/{token}/revoke")
async def revoke_token(token: str, visitor: Known, services: Provided) -> Response:
    """Revoke one."""
    async with services.database.begin() as tx:
        name = await credentials.revoke_token(tx, visitor.id, token)
        await record(tx, visitor.did("token.revoked", name))
    return RedirectResponse("/tokens", status_code=303)


async def _with_link(
    request: Request, visitor: Visitor, services: Services, person: UUID
) -> Response:
    minutes = services.settings.web.link_minutes
    async with services.database.begin() as tx:
        who = await people.standing_of(tx, person)
        secret = await credentials.issue(tx, "link", person, seconds=minutes * 60)
        await record(tx, visitor.did("link.made", who.name))
    link = {"name": who.name, "url": link_url(request, secret), "minutes": f"{minutes:g}"}
    return await _people(visitor, services, link=link)


async def _people(visitor: Visitor, services: Services, **more: Any) -> Response:
    async with services.database.begin() as tx:
        found = await people.list_people(tx)
    manages = may(visitor.standing, Act.PEOPLE)
    return page(
        "people.html",
        visitor,
        people=found,
        manages=manages,
        link=more.get("link"),
        forges={name: forge.host for name, forge in services.rights.forges.items()},
    )


async def _tokens(visitor: Visitor, services: Services, **more: Any) -> Response:
    async with services.database.begin() as tx:
        found = await credentials.tokens_of(tx, visitor.id)
    return page("tokens.html", visitor, tokens=found, made=more.get("made"))
