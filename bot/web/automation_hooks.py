"""Webhooks of automations: what is delivered to them is signed, bounded, and acted on once.

An answer says what became of the delivery; of what it starts, the run tells.
"""

import time
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from bot.automate.triggers.hook_checks import Delivery, NotTaken, Why
from bot.automate.triggers.hook_intake import HookIntake, NoHook, Paused, Taken, TooMany
from bot.web.answers import problem
from bot.web.visitor import Provided

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/hooks/automations", include_in_schema=False)

_STATUS: Mapping[Why, HTTPStatus] = {
    "unsigned": HTTPStatus.UNAUTHORIZED,
    "old": HTTPStatus.UNAUTHORIZED,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "malformed": HTTPStatus.BAD_REQUEST,
}
_DO: Mapping[Why, str] = {
    "unsigned": "sign the body with the webhook's secret, as docs/automation-triggers.md says",
    "old": "set the clock of the sender, and sign each delivery anew",
    "too_large": "send less",
    "malformed": "send a JSON object as application/json",
}
_KEPT = "nothing was kept"


@router.post("/{short}")
async def deliver(short: str, request: Request, services: Provided) -> Response:
    """A delivery to the webhook of an automation."""
    intake = HookIntake(services.database, services.hook_secrets)
    delivery = Delivery(
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.body(),
        at=time.time(),
    )
    try:
        taken = await intake.take(short, delivery)
    except NoHook:
        return problem(
            HTTPStatus.NOT_FOUND,
            "no automation has a webhook at this address",
            code="not_found",
            kept=_KEPT,
            do="the page of the automation shows its address",
        )
    except NotTaken as error:
        log.warning("automation_hook_refused", trigger=short[:40], why=error.why)
        status = _STATUS[error.why]
        return problem(status, error.told, code=error.why, kept=_KEPT, do=_DO[error.why])
    except Paused:
        return problem(
            HTTPStatus.CONFLICT,
            "the automation is paused",
            code="paused",
            kept=_KEPT,
            do="resume it, and deliver this again",
        )
    except TooMany as error:
        answer = problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            error.told,
            code="too_many",
            kept=_KEPT,
            do="wait as long as Retry-After says",
        )
        answer.headers["Retry-After"] = str(error.retry_seconds)
        return answer
    return JSONResponse(_shown(taken), status_code=HTTPStatus.ACCEPTED)


def _shown(taken: Taken) -> dict[str, str | None]:
    return {
        "became": taken.became,
        "event": str(taken.event_id) if taken.event_id else None,
        "state": taken.state or None,
        "why": taken.why or None,
        "run": taken.run,
        "says": _says(taken),
    }


def _says(taken: Taken) -> str:
    match taken.became:
        case "accepted":
            return "The delivery is kept until a run comes of it."
        case "known":
            return "This was delivered before, and is acted on once."
        case "ping":
            return "The webhook is there."
        case "filtered":
            return f"The filter of the trigger does not let it through: see {taken.path}."
