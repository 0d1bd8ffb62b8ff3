"""People and their credentials."""

from fastapi import APIRouter, Request

from bot.govern import credentials, people, service_accounts
from bot.govern.access import Act
from bot.govern.audit import record
from bot.web import accounts, shapes
from bot.web.signing import link_url
from bot.web.visitor import Known, Provided

router = APIRouter(tags=["people"])


@router.get("/people", response_model=shapes.People)
async def list_people(visitor: Known, services: Provided) -> object:
    """Everybody by name."""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        return {"people": await people.list_people(tx)}


@router.post("/people", status_code=201, response_model=shapes.Link)
async def add_person(
    person: shapes.NewPerson, request: Request, visitor: Known, services: Provided
) -> object:
    """Add a person and make their first sign-in link."""
    visitor.require(Act.PEOPLE)
    minutes = services.settings.web.link_minutes
    async with services.database.begin() as tx:
        added = await people.add_person(tx, person.name)
        link = await credentials.issue(tx, "link", added.person_id, seconds=minutes * 60)
        made = [visitor.did(kind, added.name) for kind in ("person.added", "link.made")]
        await record(tx, *made)
    return {"url": link_url(request, link), "minutes": minutes, "name": added.name}


@router.post("/people/services", status_code=201, response_model=shapes.Told)
async def add_service(service: shapes.NewPerson, visitor: Known, services: Provided) -> shapes.Told:
    """Add a service account: automations work in its name, and it never signs in."""
    visitor.require(Act.PEOPLE)
    async with services.database.begin() as tx:
        added = await people.add_person(tx, service.name, is_service=True)
        await record(tx, visitor.did("service.added", added.name))
    return shapes.Told(text=f"The service account {added.name} is there; connect its account next.")


@router.post("/people/{said}/accounts", response_model=shapes.Told)
async def connect_account(
    said: str, account: shapes.NewAccount, visitor: Known, services: Provided
) -> shapes.Told:
    """Let an account on a forge be a service account's; people connect theirs themselves."""
    visitor.require(Act.PEOPLE)
    forge = accounts.forge_of(services, account.forge)
    async with services.database.begin() as tx:
        who = await people.find_person(tx, said)
        await service_accounts.connect(
            tx, who, account.forge, forge, account=account.id, login=account.login
        )
        await record(tx, visitor.did("service.connected", who.name, body=account.model_dump()))
    return shapes.Told(text=f"{who.name} is {account.login} on {forge.host} from now on.")


@router.delete("/people/{said}/accounts/{forge_name}", response_model=shapes.Told)
async def disconnect_account(
    said: str, forge_name: str, visitor: Known, services: Provided
) -> shapes.Told:
    """Take a service account's account on a forge away."""
    visitor.require(Act.PEOPLE)
    forge = accounts.forge_of(services, forge_name)
    async with services.database.begin() as tx:
        who = await people.find_person(tx, said)
        login = await service_accounts.disconnect(tx, who, forge_name, forge)
        await record(tx, visitor.did("service.disconnected", who.name, body={"login": login}))
    return shapes.Told(text=f"{who.name} is not {login} on {forge.host} any more.")


@router.post("/people/{said}/link", status_code=201, response_model=shapes.Link)
async def make_link(said: str, request: Request, visitor: Known, services: Provided) -> object:
    """Make a sign-in link: for yourself (`me`), or as an operator for anybody."""
    minutes = services.settings.web.link_minutes
    async with services.database.begin() as tx:
        who = visitor.standing if said == "me" else await people.find_person(tx, said)
        visitor.require(Act.SEE if who.person_id == visitor.id else Act.PEOPLE)
        link = await credentials.issue(tx, "link", who.person_id, seconds=minutes * 60)
        await record(tx, visitor.did("link.made", who.name))
    return {"url": link_url(request, link), "minutes": minutes, "name": who.name}


@router.post("/people/{said}/deactivate", response_model=shapes.Told)
async def deactivate(said: str, visitor: Known, services: Provided) -> shapes.Told:
    """Take every right and credential from a person."""
    visitor.require(Act.PEOPLE)
    async with services.database.begin() as tx:
        who = await people.find_person(tx, said)
        people.check_other(who, visitor.standing)
        await people.deactivate(tx, who.person_id)
        await record(tx, visitor.did("person.deactivated", who.name))
    return shapes.Told(text=f"{who.name} is deactivated and signed out everywhere.")


@router.post("/people/{said}/activate", response_model=shapes.Told)
async def activate(said: str, visitor: Known, services: Provided) -> shapes.Told:
    """Let a deactivated person sign in again."""
    visitor.require(Act.PEOPLE)
    async with services.database.begin() as tx:
        who = await people.find_person(tx, said)
        await people.activate(tx, who.person_id)
        await record(tx, visitor.did("person.activated", who.name))
    return shapes.Told(text=f"{who.name} is active again and needs a new sign-in link.")


@router.get("/tokens", response_model=shapes.Tokens)
async def list_tokens(visitor: Known, services: Provided) -> object:
    """Your API tokens."""
    async with services.database.begin() as tx:
        return {"tokens": await credentials.tokens_of(tx, visitor.id)}


@router.post("/tokens", status_code=201, response_model=shapes.MadeToken)
async def make_token(token: shapes.NewToken, visitor: Known, services: Provided) -> object:
    """Make an API token; its secret is shown this once."""
    async with services.database.begin() as tx:
        secret = await credentials.issue_token(tx, visitor.id, token.name, token.days)
        await record(tx, visitor.did("token.made", token.name, body={"days": token.days}))
    return {"name": token.name, "token": secret}


@router.delete("/tokens/{token}", response_model=shapes.Told)
async def revoke_token(token: str, visitor: Known, services: Provided) -> shapes.Told:
    """Revoke one of your API tokens."""
    async with services.database.begin() as tx:
        name = await credentials.revoke_token(tx, visitor.id, token)
        await record(tx, visitor.did("token.revoked", name))
    return shapes.Told(text=f"Token {name} is revoked.")
