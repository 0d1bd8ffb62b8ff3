"""Automations: what is there, what waits for approval, and a form for one that is made here."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from bot.errors import OnaError
from bot.store.ids import new_id
from bot.web import automations
from bot.web.adding import names
from bot.web.answers import status_of
from bot.web.rendering import page
from bot.web.services import Services
from bot.web.visitor import Known, Provided, Visitor

router = APIRouter(prefix="/automations")
HERE = "/automations"
EMPTY = {"project": "", "source": ""}
STATES = {"proposed": "Waits for approval", "active": "Active", "paused": "Paused"}
WHY = {
    "person": "somebody paused it",
    "failures": "it failed several times in a row",
    "runs_as": "in whose name it worked is deactivated here",
    "time": "the time of one of its triggers can't be read any more: change it",
}


@router.get("")
async def show(visitor: Known, services: Provided) -> Response:
    """The automations, and a form to make one."""
    return await _page(visitor, services)


@router.post("")
async def make(
    *,
    visitor: Known,
    services: Provided,
    project: Annotated[str, Form(max_length=200)] = "",
    source: Annotated[str, Form(max_length=65_536)] = "",
) -> Response:
    """Make one; what was typed is kept when it has mistakes."""
    filled = {"project": project, "source": source}
    try:
        made = await automations.make(
            visitor, services, project.strip(), source.replace("\r\n", "\n")
        )
    except OnaError as error:
        return await _page(visitor, services, filled=filled, error=error)
    return await _after(visitor, services, made)


@router.post("/{automation}/approve")
async def approve(
    automation: str,
    visitor: Known,
    services: Provided,
    digest: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Approve what this page showed."""
    counts = await automations.approve(visitor, services, automation, digest)
    return await _after(visitor, services, counts)


@router.post("/{automation}/change")
async def change(
    automation: str,
    visitor: Known,
    services: Provided,
    source: Annotated[str, Form(max_length=65_536)] = "",
) -> Response:
    """Let one that was made here say something else."""
    said = source.replace("\r\n", "\n")
    return await _after(
        visitor, services, await automations.change(visitor, services, automation, said)
    )


@router.post("/{automation}/run")
async def run(
    automation: str,
    visitor: Known,
    services: Provided,
    key: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Begin a run; the form is sent twice and one begins."""
    begun = await automations.run(visitor, services, automation, key or str(new_id()))
    if begun["run"]:
        return RedirectResponse(f"/runs/{begun['run']}", status_code=303)
    return await _page(visitor, services, said=begun["text"])


@router.post("/{automation}/{act}")
async def act(
    automation: str,
    act: Literal["pause", "resume", "remove"],
    visitor: Known,
    services: Provided,
) -> Response:
    """Pause one, let it go on, or remove it."""
    await automations.act(visitor, services, automation, act)
    return RedirectResponse(HERE, status_code=303)


async def _after(visitor: Visitor, services: Services, counts: dict[str, Any]) -> Response:
    """The page again; with the secrets of new webhooks, which are shown only now."""
    if not counts["webhooks"]:
        return RedirectResponse(HERE, status_code=303)
    return await _page(visitor, services, webhooks=counts["webhooks"])


async def _page(
    visitor: Visitor,
    services: Services,
    *,
    filled: dict[str, str] | None = None,
    error: OnaError | None = None,
    webhooks: list[dict[str, str]] | None = None,
    said: str = "",
) -> Response:
    found = await automations.listed(visitor, services)
    return page(
        "automations.html",
        visitor,
        status=200 if error is None else status_of(error),
        headers={"Cache-Control": "no-store"} if webhooks else None,
        filled=filled or EMPTY,
        error=error,
        webhooks=webhooks or [],
        said=said,
        states=STATES,
        reasons=WHY,
        key=str(new_id()),
        projects=await names(visitor, services),
        **found,
    )
