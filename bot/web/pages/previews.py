"""The way into a preview: here people are signed in, and there they are not."""

from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from bot.govern.audit import record
from bot.web import preview_pass
from bot.web.entering import admit_visitor
from bot.web.previewing import ENTER, Previews
from bot.web.visitor import Known, Provided
from bot.work import previews
from bot.work.preview_names import preview_address, safe_path

router = APIRouter(prefix="/previews")


@router.get("/{token}")
async def enter(
    token: str, request: Request, visitor: Known, services: Provided, to: str = "/"
) -> Response:
    """Look whether they may see it, and send them there with a pass."""
    async with services.database.begin() as tx:
        found = await previews.find(tx, token)
    admitted = await admit_visitor(visitor, services, found.short)
    visited = visitor.did(
        "preview.visited",
        found.short,
        session_id=admitted.session_id,
        project_id=admitted.project_id,
        body={"preview": found.id, "port": found.port},
    )
    async with services.database.begin() as tx:
        await record(tx, visited)
    known: Previews = request.app.state.previews
    shown = preview_pass.made(await known.key(), "pass", token=token, person_id=visitor.id)
    there = preview_address(services.settings, token, str(request.base_url)).rstrip("/")
    wanted = quote(safe_path(to), safe="")
    return RedirectResponse(f"{there}{ENTER}?pass={shown}&to={wanted}", status_code=303)
