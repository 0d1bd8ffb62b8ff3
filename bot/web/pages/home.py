"""The first page: a box to ask in, and the sessions."""

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from bot.govern import halting
from bot.govern.access import Act
from bot.store.ids import new_id
from bot.web import reading
from bot.web.rendering import by_htmx, page, told
from bot.web.saying import refusal, say
from bot.web.visitor import Known, Provided

router = APIRouter()
SHOWN_MAX = 50


@router.get("/")
async def home(visitor: Known, services: Provided) -> Response:
    """Ask, and see what there is."""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        found = await reading.sessions(tx, limit=SHOWN_MAX)
        known = await reading.projects(tx)
        progress = await reading.progress(tx)
        halts = await halting.read(tx)
    visible = services.rights.visible
    return page(
        "home.html",
        visitor,
        sessions=await visible(visitor.standing, found),
        projects=await visible(visitor.standing, known, key="id"),
        progress=progress,
        halts=halts,
        halting=False,
        key=str(new_id()),
    )


@router.get("/sessions")
async def sessions(request: Request, visitor: Known, services: Provided) -> Response:
    """The list alone, for the script that keeps it fresh."""
    visitor.require(Act.SEE)
    if not by_htmx(request):
        return RedirectResponse("/", status_code=303)
    async with services.database.begin() as tx:
        found = await reading.sessions(tx, limit=SHOWN_MAX)
    shown = await services.rights.visible(visitor.standing, found)
    return page("_sessions.html", visitor, sessions=shown)


@router.post("/sessions")
async def open_session(
    *,
    request: Request,
    visitor: Known,
    services: Provided,
    text: str = Form(default=""),
    project: str = Form(default=""),
    key: str = Form(default=""),
) -> Response:
    """Open a session with its first prompt."""
    visitor.require(Act.PROMPT)
    accepted = await say(services, visitor, text, surface="web", key=key, project=project, new=True)
    if accepted.verdict == "command" and by_htmx(request):
        return told(request, accepted.text, back="/")
    if accepted.session is None:
        raise refusal(accepted)
    place = f"/sessions/{accepted.session}"
    if by_htmx(request):
        return Response(headers={"HX-Redirect": place})
    return RedirectResponse(place, status_code=303)
