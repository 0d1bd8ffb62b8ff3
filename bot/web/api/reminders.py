"""Reminders: what is said at a time, or answered then."""

from typing import Literal

from fastapi import APIRouter, Response

from bot.web import reminders, shapes
from bot.web.shapes_reminders import NewReminder, Reminder, ReminderChanges, Reminders, Snooze
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/reminders", tags=["reminders"])


@router.get("", response_model=Reminders)
async def list_reminders(visitor: Known, services: Provided, *, everyone: bool = False) -> object:
    """One's own, what is due next first; operators may ask for everybody's."""
    return {"reminders": await reminders.listed(visitor, services, everyone=everyone)}


@router.post("", status_code=201, response_model=Reminder)
async def add_reminder(
    wanted: NewReminder, visitor: Known, services: Provided, response: Response
) -> object:
    """Set one; a time that could be two is refused with a question. 200: a dry run."""
    made = await reminders.add(visitor, services, wanted)
    if wanted.dry_run:
        response.status_code = 200
    return made


@router.get("/{reminder}", response_model=Reminder)
async def show_reminder(reminder: str, visitor: Known, services: Provided) -> object:
    """One of them."""
    return await reminders.show(visitor, services, reminder)


@router.patch("/{reminder}", response_model=Reminder)
async def change_reminder(
    reminder: str, changes: ReminderChanges, visitor: Known, services: Provided
) -> object:
    """Give it another time, other words, or quiet hours."""
    return await reminders.change(visitor, services, reminder, changes)


@router.post("/{reminder}/snooze", response_model=shapes.Told)
async def snooze_reminder(
    reminder: str, wanted: Snooze, visitor: Known, services: Provided
) -> shapes.Told:
    """Say it once more later; the reminder itself goes on as it is."""
    return shapes.Told(
        text=await reminders.act(visitor, services, reminder, "snooze", wanted.until)
    )


@router.post("/{reminder}/{act}", response_model=shapes.Told)
async def act_on_reminder(
    reminder: str,
    act: Literal["pause", "resume", "yes", "answer", "no", "done"],
    visitor: Known,
    services: Provided,
) -> shapes.Told:
    """Pause it, let it go on, have it answered, say yes or no to what waits, be done with it."""
    return shapes.Told(text=await reminders.act(visitor, services, reminder, act))


@router.delete("/{reminder}", response_model=shapes.Told)
async def delete_reminder(reminder: str, visitor: Known, services: Provided) -> shapes.Told:
    """Forget it."""
    return shapes.Told(text=await reminders.act(visitor, services, reminder, "delete"))
