"""One's reminders."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from bot.errors import OnaError, WhichProject
from bot.web import reminders
from bot.web.adding import names
from bot.web.answers import status_of
from bot.web.rendering import page
from bot.web.services import Services
from bot.web.shapes_reminders import TO_LENGTH_MAX, NewReminder, ReminderChanges
from bot.web.visitor import Known, Provided, Visitor

router = APIRouter(prefix="/reminders")
EMPTY = {"when": "", "what": "", "project": "", "to": "", "answer": "", "only_changed": ""}


@router.get("")
async def show(visitor: Known, services: Provided, *, everyone: bool = False) -> Response:
    """One's reminders, and a form to set one; everybody's, to operators who ask for them."""
    return await _page(visitor, services, everyone=everyone)


@router.post("")
async def add(
    *,
    visitor: Known,
    services: Provided,
    when: Annotated[str, Form(max_length=200)] = "",
    at: Annotated[str, Form(max_length=40)] = "",
    what: Annotated[str, Form(max_length=4000)] = "",
    project: Annotated[str, Form(max_length=200)] = "",
    to: Annotated[str, Form(max_length=TO_LENGTH_MAX)] = "",
    answer: Annotated[str, Form()] = "",
    only_changed: Annotated[str, Form()] = "",
    sure: Annotated[str, Form()] = "",
) -> Response:
    """Say back what it would be; set it once its visitor is sure."""
    # What a date picker of a browser gives, in the visitor's zone.
    when, what = at.replace("T", " ") or when, what.replace("\r\n", "\n")
    filled = {"when": when, "what": what, "project": project, "to": to}
    filled |= {"answer": answer, "only_changed": only_changed}
    try:
        wanted = NewReminder(
            when=when or " ",
            what=what or " ",
            project=project or None,
            to=[to] if to.strip() else [],
            answer=bool(answer),
            only_changed=bool(only_changed),
            dry_run=not sure,
        )
        made = await reminders.add(visitor, services, wanted)
    except WhichProject as error:
        which = WhichProject(error.happened, kept="nothing was saved", do="choose its project")
        return await _page(visitor, services, filled=filled, error=which)
    except OnaError as error:
        return await _page(visitor, services, filled=filled, error=error)
    if sure:
        return RedirectResponse("/reminders", status_code=303)
    return await _page(visitor, services, filled=filled, understood=made)


@router.get("/{reminder}")
async def show_one(reminder: str, visitor: Known, services: Provided) -> Response:
    """One of them, with forms to edit it and to put it off."""
    return await _one(visitor, services, reminder)


@router.post("/{reminder}")
async def edit(
    *,
    reminder: str,
    visitor: Known,
    services: Provided,
    when: Annotated[str, Form(max_length=200)] = "",
    at: Annotated[str, Form(max_length=40)] = "",
    what: Annotated[str, Form(max_length=4000)] = "",
    quiet: Annotated[str, Form(max_length=20)] = "",
    sure: Annotated[str, Form()] = "",
) -> Response:
    """Say back what it would be; change it once its visitor is sure."""
    before = await reminders.show(visitor, services, reminder)
    filled = {"when": at.replace("T", " ") or when or before["when"], "what": what, "quiet": quiet}
    filled["what"] = what.replace("\r\n", "\n").strip() or before["what"]
    # The same words may be another time by now, such as "in 20 minutes".
    times = {} if filled["when"] == before["when"] else {"when": filled["when"]}
    try:
        changes = ReminderChanges(what=filled["what"], quiet=quiet, dry_run=not sure, **times)
        changed = await reminders.change(visitor, services, reminder, changes)
    except OnaError as error:
        return await _one(visitor, services, reminder, filled=filled, error=error, failed="edit")
    if sure:
        return RedirectResponse("/reminders", status_code=303)
    return await _one(visitor, services, reminder, filled=filled, understood=changed)


@router.post("/{reminder}/snooze")
async def snooze(
    *,
    reminder: str,
    visitor: Known,
    services: Provided,
    until: Annotated[str, Form(max_length=200)] = "",
    at: Annotated[str, Form(max_length=40)] = "",
    sure: Annotated[str, Form()] = "",
) -> Response:
    """Say it once more later; a time that was said in words or picked is said back first."""
    until = at.replace("T", " ") or until or " "
    try:
        said = await reminders.act(visitor, services, reminder, "snooze", until, keep=bool(sure))
    except OnaError as error:
        return await _one(
            visitor, services, reminder, until=until.strip(), error=error, failed="snooze"
        )
    if sure:
        return RedirectResponse("/reminders", status_code=303)
    return await _one(visitor, services, reminder, until=until, again=said)


async def _one(
    visitor: Visitor,
    services: Services,
    short: str,
    *,
    filled: dict[str, str] | None = None,
    error: OnaError | None = None,
    **more: Any,
) -> Response:
    one = await reminders.show(visitor, services, short)
    shown = {"until": "", "again": "", "understood": None, "failed": "", **more}
    return page(
        "reminder.html",
        visitor,
        status=200 if error is None else status_of(error),
        one=one,
        filled=filled or {name: one[name] for name in ("when", "what", "quiet")},
        error=error,
        **shown,
    )


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
    filled: dict[str, str] = EMPTY,
    error: OnaError | None = None,
    understood: dict[str, Any] | None = None,
    everyone: bool = False,
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
        understood=understood,
        projects=await names(visitor, services),
    )
