"""The pages: server-rendered, usable without a script, quicker with one."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from bot.errors import OnaError
from bot.web.pages import (
    audit,
    automations,
    changes,
    connecting,
    home,
    machines,
    people,
    policies,
    pools,
    previews,
    projects,
    reminders,
    runs,
    session,
    setup,
    sign_in,
    status,
    usage,
)
from bot.web.rendering import by_htmx, fragment, page
from bot.web.signing import SIGN_IN
from bot.web.visitor import Visitor, browser_visitor
from bot.words.sentences import told

router = APIRouter(include_in_schema=False)
for _module in (
    home,
    session,
    changes,
    machines,
    pools,
    previews,
    projects,
    people,
    policies,
    usage,
    audit,
    reminders,
    runs,
    automations,
    setup,
    status,
    connecting,
    previews,
    sign_in,
):
    router.include_router(_module.router)


async def as_page(request: Request, status: int, error: OnaError) -> Response:
    """An error for people."""
    if status == 401:
        if by_htmx(request):
            return Response(headers={"HX-Redirect": SIGN_IN})
        return RedirectResponse(SIGN_IN, status_code=303)
    headers = {"Retry-After": "5"} if status == 503 else {}
    if by_htmx(request):
        part = fragment("_told.html", text=told(error), tone="bad")
        aimed = {"HX-Retarget": "#told", "HX-Reswap": "innerHTML"}
        return HTMLResponse(part, status_code=status, headers={**headers, **aimed})
    return page(
        "error.html",
        await _visitor(request, status),
        status=status,
        headers=headers,
        error=error,
        missing=status == 404,
    )


async def _visitor(request: Request, status: int) -> Visitor | None:
    """Who sees the error, so that the page keeps its menu; nobody while the database is away."""
    if status >= 500:
        return None
    try:
        return await browser_visitor(request)
    except Exception:
        return None
