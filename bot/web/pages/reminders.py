"""One's reminders."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from bot.errors import OnaError, WhichProject
from bot.web import reminders
from bot.web.adding import names
from bot.web.answers import status_of
from bot.web.rendering import page
from bot.web.services import Services
from bot.web.shapes_reminders import NewReminder
from bot.web.visitor import Known, Provided, Visitor

router = APIRouter(prefix="/reminders")
EMPTY = {"when": "", "what": "", "project": ""}


@router.get("")
async def show(
    visitor: Known, services: Provided, *, everyone: bool = False, assumed: str = ""
) -> Response:
    """One's reminders, and a form to set one; everybody's, to operators who ask for them.

    `assumed` is the one that was just set without a time of day.
    """
    return await _page(
        visitor, services, filled=EMPTY, error=None, everyone=everyone, assumed=assumed
    )


@router.post("")
async def add(
    *,
    visitor: Known,
    services: Provided,
    when: Annotated[str, Form(max_length=200)] = "",
    at: Annotated[str, Form(max_length=40)] = "",
    what: Annotated[str, Form(max_length=4000)] = "",
    project: Annotated[str, Form(max_length=200)] = "",
    answer: Annotated[str, Form()] = "",
    only_changed: Annotated[str, Form()] = "",
) -> Response:
    """Set one; what was typed is kept when its time can't be read."""
    filled = {"when": when, "what": what, "project": project}
    # What a date picker of a browser gives, in the visitor's zone.
    when = at.replace("T", " ") or when
    try:
        wanted = NewReminder(
            when=when or " ",
            what=what or " ",
            project=project or None,
            answer=bool(answer),
            only_changed=bool(only_changed),
        )
        made = await reminders.add(visitor, services, wanted)
    except WhichProject as error:
        which = WhichProject(error.happened, kept="nothing was saved", do="choose its project")
        return await _page(visitor, services, filled=filled, error=which)
    except OnaError as error:
        return await _page(visitor, services, filled=filled, error=error)
    said = f"?assumed={made['reminder']}" if made["time_assumed"] else ""
    return RedirectResponse(f"/reminders{said}", status_code=303)


@router.post("/{reminder}/{act}")
async def act(
    reminder: str,
    act: Literal["pause", "resume", "delete", "yes", "answer", "no"],
    visitor: Known,
    services: Provided,
) -> Response:
    """Confirm one, pause it, let it go on, or forget it."""
    await reminders.act(visitor, services, reminder, act)
    return RedirectResponse("/reminders", status_code=303)


async def _page(
    visitor: Visitor,
    services: Services,
    *,
    filled: dict[str, str],
    error: OnaError | None,
    everyone: bool = False,
    assumed: str = "",
) -> Response:
    found = await reminders.listed(visitor, services, everyone=everyone)
    status = 200 if error is None else status_of(error)
    return page(
        "reminders.html",
        visitor,
        status=status,
        reminders=found,
        filled=filled,
        error=error,
        everyone=everyone,
        assumed=assumed,
        projects=await names(visitor, services),
    )
