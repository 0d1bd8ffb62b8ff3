"""A project's memory: the notes that its agents and people leave for later sessions."""

from fastapi import APIRouter

from bot.govern.access import Act
from bot.govern.audit import record
from bot.web import remembering, shapes
from bot.web.adding import find_project
from bot.web.visitor import Known, Provided
from bot.work import memory

router = APIRouter(prefix="/projects/{name}/memory", tags=["memory"])


@router.get("", response_model=remembering.Notes)
async def list_notes(name: str, visitor: Known, services: Provided) -> object:
    """The notes of a project by name, without their words."""
    found = await find_project(visitor, services, name, Act.SEE)
    async with services.database.begin() as tx:
        return {"notes": await memory.notes(tx, found["id"])}


@router.get("/{note:path}", response_model=remembering.Note)
async def show_note(name: str, note: str, visitor: Known, services: Provided) -> object:
    """One note."""
    found = await find_project(visitor, services, name, Act.SEE)
    async with services.database.begin() as tx:
        return await memory.note(tx, found["id"], note)


@router.put("/{note:path}", response_model=shapes.Told)
async def set_note(
    name: str, note: str, new: remembering.NewNote, visitor: Known, services: Provided
) -> shapes.Told:
    """Write a note, over the one of that name."""
    found = await find_project(visitor, services, name, Act.PROMPT)
    async with services.database.begin() as tx:
        await memory.put(tx, found["id"], note, new.text, by=visitor.id)
        event = visitor.did("memory.set", f"{name}/{note}", project_id=found["id"])
        await record(tx, event)
    return shapes.Told(text=f"Note {note} of project {name} is written.")


@router.delete("/{note:path}", response_model=shapes.Told)
async def remove_note(name: str, note: str, visitor: Known, services: Provided) -> shapes.Told:
    """Remove a note."""
    found = await find_project(visitor, services, name, Act.PROMPT)
    async with services.database.begin() as tx:
        await memory.remove(tx, found["id"], note)
        event = visitor.did("memory.removed", f"{name}/{note}", project_id=found["id"])
        await record(tx, event)
    return shapes.Told(text=f"Note {note} of project {name} is removed.")
