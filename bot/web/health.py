"""Is it alive, is it ready, how does it do: for probes and Prometheus."""

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot.web.services import Check
from bot.web.visitor import Provided

CHECK_SECONDS_MAX = 3.0
router = APIRouter(include_in_schema=False)


@router.get("/live")
async def live() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"alive": True})


@router.get("/ready")
async def ready(services: Provided) -> JSONResponse:
    """Everything it needs answers."""
    checks: dict[str, Check] = {"database": services.database.ping, **services.ready}
    found = await _look(checks)
    fit = all(said == "ok" for said in found.values())
    return JSONResponse({"ready": fit, "checks": found}, status_code=200 if fit else 503)


@router.get("/metrics")
async def measured(services: Provided) -> Response:
    """What Prometheus reads."""
    return Response(generate_latest(services.registry), media_type=CONTENT_TYPE_LATEST)


async def _look(checks: Mapping[str, Check]) -> dict[str, str]:
    async def one(check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_SECONDS_MAX):
                await check()
        except TimeoutError:
            return f"no answer in {CHECK_SECONDS_MAX:g} s"
        except Exception as error:
            # Without the text: this is open to whoever reaches the port.
            return type(error).__name__
        return "ok"

    said = await asyncio.gather(*(one(check) for check in checks.values()))
    return dict(zip(checks, said, strict=True))
