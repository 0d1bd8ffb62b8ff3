"""Discovery of identity tokens at our own address: what checks a session's token asks here.

Vault signs the tokens; its keys are public, and whoever checks tokens need not reach Vault.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from adapters.chat.port import Deadline
from adapters.vault.errors import VaultError
from bot.web.visitor import Provided

SECONDS_MAX = 5.0
CACHED_SECONDS = 300
"""A key is there long before it signs; hour-long caching of others' does no harm either."""
router = APIRouter(prefix="/v1/identity/oidc/.well-known", include_in_schema=False)


@router.get("/openid-configuration")
async def discovery(services: Provided) -> JSONResponse:
    """Who issues tokens, and where the keys are."""
    return await _read(services, "openid-configuration")


@router.get("/keys")
async def keys(services: Provided) -> JSONResponse:
    """The keys that tokens are signed by."""
    return await _read(services, "keys")


async def _read(services: Provided, name: str) -> JSONResponse:
    if services.discovery is None:
        return JSONResponse({"error": "this installation has no Vault"}, status_code=404)
    try:
        found = await services.discovery(name, Deadline.after(SECONDS_MAX))
    except VaultError:
        return JSONResponse({"error": "try again later"}, status_code=503)
    return JSONResponse(found, headers={"cache-control": _cached(found)})


def _cached(found: Mapping[str, Any]) -> str:
    # Before the first token is signed there is no key: whoever kept that would refuse it.
    return "no-store" if found.get("keys") == [] else f"public, max-age={CACHED_SECONDS}"
