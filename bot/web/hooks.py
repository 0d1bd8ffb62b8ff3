"""What forges deliver: `POST /hooks/<surface>`."""

from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request, Response

from adapters.chat.port import ChatError
from adapters.forge.hooks import HookRefused, Oversized, Unsigned
from bot.errors import NotFound
from bot.web.visitor import Provided

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/hooks", include_in_schema=False)


@router.post("/{surface}")
async def deliver(surface: str, request: Request, services: Provided) -> Response:
    """Hear a delivery. 204: it is heard, or was nothing for us; else why it is not.

    A forge that can't be asked for the rest of what was said answers itself: what is lost here is
    found by asking it later.
    """
    hooks = services.hooks.get(surface)
    if hooks is None:
        raise NotFound(
            f"no hooks of {surface[:40]} are expected here",
            do="set its webhook secret, or delete the webhook there",
        )
    try:
        await hooks.take(request.headers, await request.body(), services.hear)
    except HookRefused as error:
        log.warning("hook_refused", surface=surface, why=str(error))
        return Response(status_code=_status(error))
    except ChatError as error:
        log.warning("hook_not_understood", surface=surface, why=str(error))
        return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _status(error: HookRefused) -> int:
    if isinstance(error, Unsigned):
        return HTTPStatus.UNAUTHORIZED
    if isinstance(error, Oversized):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return HTTPStatus.BAD_REQUEST
