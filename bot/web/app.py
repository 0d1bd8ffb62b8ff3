"""The web application: a factory, because nothing happens at import."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import psycopg
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.errors import NotAllowed, NotPermitted, OnaError
from bot.web import answers, automation_hooks, health, hooks, identity, pages, shapes
from bot.web.api import (
    audit,
    automations,
    events,
    halts,
    machines,
    memory,
    people,
    policies,
    pools,
    projects,
    prompts,
    reminders,
    runs,
    secrets,
    sessions,
    surfaces,
    usage,
    visits,
)
from bot.web.following import Streams
from bot.web.headers import Outermost
from bot.web.previewing import Previewed, Previews
from bot.web.rendering import HERE
from bot.web.services import Services
from bot.web.visitor import Visitor

API = "/api/v1"
FOR_PROGRAMS = ("/api/", "/hooks/", "/live", "/ready", "/metrics", "/v1/")
"""Errors at these addresses are JSON; everywhere else they are pages."""
_EXPECTED: tuple[type[Exception], ...] = (
    OnaError,
    RequestValidationError,
    HTTPException,
    SQLAlchemyError,
    psycopg.Error,
    UnicodeError,
    OSError,
)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": shapes.Problem} for status in (401, 404, 409, 413, 422, 503)
}


def create_app(services: Services) -> FastAPI:
    """The application with what it works with; `services.listener` must be run by the caller."""
    app = FastAPI(
        title="ona",
        version="1",
        description="Sessions of background coding agents, the machines they run in, "
        "and what people tell them.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(Previewed, previews_of=lambda scope: scope["app"].state.previews),
            Middleware(Outermost, services=services),
            Middleware(Caught),
        ],
    )
    app.state.services = services
    app.state.previews = Previews(services)
    app.state.streams = Streams(services.settings.web.streams_max)
    for kind in _EXPECTED:
        app.add_exception_handler(kind, answer_error)
    app.router.routes.extend(_routes())
    return app


@cache
def _routes() -> Sequence[BaseRoute]:
    """Every address; they know no services, and making them takes a tenth of a second."""
    api = APIRouter(prefix=API, responses=_PROBLEMS)
    for module in (
        prompts,
        events,
        sessions,
        machines,
        pools,
        projects,
        people,
        surfaces,
        halts,
        reminders,
        runs,
        automations,
        secrets,
        memory,
        policies,
        audit,
        usage,
        visits,
    ):
        api.include_router(module.router)
    everything = APIRouter()
    hooked = (automation_hooks.router, hooks.router)
    for router in (api, *hooked, health.router, identity.router, pages.router):
        everything.include_router(router)
    everything.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    return everything.routes


async def answer_error(request: Request, error: Exception) -> Response:
    """What a failed request is answered."""
    status, told = answers.from_exception(request, error)
    if isinstance(told, NotAllowed | NotPermitted):
        _audit_refusal(request, told)
    if request.url.path.startswith(FOR_PROGRAMS):
        return answers.as_json(status, told)
    return await pages.as_page(request, status, told)


def _audit_refusal(request: Request, told: OnaError) -> None:
    """Note who wanted to do what and may not; repeated ones are counted."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    services: Services = request.app.state.services
    if visitor is not None:
        place = f"{request.method} {request.url.path}"
        body = {"why": told.happened}
        services.audited(visitor.did("access.refused", place, outcome="refused", body=body))


class Caught:
    """ASGI middleware: a bug is logged and answered like any other error, not as bare text."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand around `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer when nothing else did."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            answer = await answer_error(Request(scope), error)
            await answer(scope, receive, send)
