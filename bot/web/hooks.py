"""Where surfaces deliver to over HTTP; each says by itself whether a request comes from it."""

from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from adapters.chat.incoming import Hear
from adapters.chat.port import ChatError
from adapters.forge.hooks import HookRefused, Hooks, Oversized, Unsigned
from bot.errors import NotFound
from bot.web.services import Hook
from bot.web.visitor import Provided

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/hooks", include_in_schema=False)


@router.post("/{surface}")
async def deliver(surface: str, request: Request, services: Provided) -> Response:
    """A delivery of a surface that this installation has."""
    hook = services.hooks.get(surface)
    if hook is None:
        raise NotFound(
            f"nothing of {surface[:40]} is expected here",
            do="set its webhook secret, or delete the webhook there",
        )
    return await hook(request)


def of_forge(hooks: Hooks, hear: Hear) -> Hook:
    """Answers the deliveries of a forge: 204 when it is heard, or was nothing for us.

    A forge that can't be asked for the rest of what was said hears 503; what is lost here is found
    by asking it later.
    """

    async def hook(request: Request) -> Response:
        try:
            await hooks.take(request.headers, await request.body(), hear)
        except HookRefused as error:
            log.warning("hook_refused", path=request.url.path, why=str(error))
            return Response(status_code=_status(error))
        except ChatError as error:
            log.warning("hook_not_understood", path=request.url.path, why=str(error))
            return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return hook


def _status(error: HookRefused) -> int:
    if isinstance(error, Unsigned):
        return HTTPStatus.UNAUTHORIZED
    if isinstance(error, Oversized):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return HTTPStatus.BAD_REQUEST
