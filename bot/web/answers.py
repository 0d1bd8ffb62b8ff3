"""Answers to what went wrong: one shape for the API, one page for people.

Every one says what happened, what was kept and what to do.
"""

import psycopg
import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from bot.errors import (
    NotFound,
    NothingToDo,
    NotPermitted,
    OnaError,
    Refused,
    Retry,
    TellOperator,
    TellPerson,
    TooLarge,
)
from bot.store.database import may_pass

log = structlog.get_logger(__name__)

RETRY_SECONDS = 5
"""What callers are told to wait while the database is away."""


class NotSignedIn(OnaError):
    """Nobody is known to have sent this request."""

    code = "not_signed_in"


class Forged(OnaError):
    """A browser sent this for another site, or from a page that is out of date."""

    code = "forged"


_STATUS: tuple[tuple[type[OnaError], int], ...] = (
    (NotSignedIn, 401),
    (Forged, 403),
    (NotFound, 404),
    (NothingToDo, 409),
    (TooLarge, 413),
    (NotPermitted, 403),
    (Refused, 422),
    (TellPerson, 422),
    (Retry, 503),
    (TellOperator, 503),
)


def status_of(error: OnaError) -> int:
    """The HTTP status that fits the error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(status: int, happened: str, *, code: str, kept: str = "", do: str = "") -> JSONResponse:
    """The API's one shape of an error."""
    headers: dict[str, str] = {}
    if status == 503:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = {"error": happened, "kept": kept, "do": do, "code": code}
    return JSONResponse(body, status_code=status, headers=headers)


def database_away() -> OnaError:
    """What everybody is told while PostgreSQL does not answer."""
    return Retry(
        "the database does not answer",
        kept="nothing was changed; running work goes on",
        do="try again in a minute",
    )


def from_exception(request: Request, error: Exception) -> tuple[int, OnaError]:
    """Status and words for anything that a handler raised."""
    if isinstance(error, OnaError):
        return status_of(error), error
    if isinstance(error, RequestValidationError):
        return 422, _invalid(error)
    if isinstance(error, HTTPException):
        return error.status_code, _plain_http(error)
    if isinstance(error, psycopg.DataError | UnicodeError):
        # NUL bytes, lone surrogates, numbers beyond every row.
        return 422, Refused("a value here can't be stored or looked up", kept="nothing was changed")
    if may_pass(error):
        log.warning("database_away", path=request.url.path, error=str(error).split("\n")[0])
        return 503, database_away()
    log.error("request_failed", path=request.url.path, exc_info=error)
    happened = "something went wrong in ona itself"
    return 500, OnaError(happened, do="its log says more; try again")


def as_json(status: int, error: OnaError) -> Response:
    """The error for programs."""
    return problem(status, error.happened, code=error.code, kept=error.kept, do=error.do)


def _invalid(error: RequestValidationError) -> OnaError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path"})
    return Refused(
        f"{where or 'the request'}: {first['msg']}",
        kept="nothing was changed",
        do="/api/openapi.json describes what is expected",
    )


def _plain_http(error: HTTPException) -> OnaError:
    if error.status_code == 404:
        return NotFound("there is nothing at this address")
    if error.status_code == 405:
        return Refused("this can't be done at this address")
    if error.status_code == 400:
        return Refused(
            "the body can't be read", kept="nothing was changed", do="send JSON in UTF-8"
        )
    return OnaError(str(error.detail))
