"""What we do to our OpenBao over its private socket: initialise, unseal, a root token for a moment.

The few requests are plain HTTP on a Unix socket, which clients of Vault do not speak.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2

from bot.errors import OnaError

ANSWER_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05


class NotDone(OnaError):
    """OpenBao refused, or did not answer."""

    def __init__(self, happened: str, *, status: int = 0) -> None:
        """`status` is that of its answer; 0: there was none."""
        super().__init__(happened)
        self.status = status


class Admin:
    """Speaks to the server at a socket."""

    def __init__(self, socket_path: Path) -> None:
        """Nothing is sent before it is used."""
        self._socket = socket_path

    async def status(self) -> Mapping[str, Any] | None:
        """Whether it is `initialized` and `sealed`; None: it does not answer (yet)."""
        try:
            return await self._ask("GET", "sys/seal-status")
        except NotDone:
            return None

    async def initialise(self) -> tuple[str, str]:
        """Initialise it; the unseal key, which nobody can have again, and a root token."""
        made = await self._ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        return str(made["keys_base64"][0]), str(made["root_token"])

    async def unseal(self, key: str) -> bool:
        """Whether it is open now; returns when it also is at work."""
        found = await self._ask("PUT", "sys/unseal", {"key": key})
        if found["sealed"]:
            return False
        await self._until_active()
        return True

    @asynccontextmanager
    async def root(self, key: str) -> AsyncIterator[str]:
        """A root token made of the unseal key; revoked on the way out, whatever happens."""
        # One that was begun and not finished stands in the way of another.
        await self._ask("DELETE", "sys/generate-root/attempt")
        begun = await self._ask("PUT", "sys/generate-root/attempt", {})
        made = await self._ask(
            "PUT", "sys/generate-root/update", {"key": key, "nonce": begun["nonce"]}
        )
        token = _decoded(str(made["encoded_token"]), str(begun["otp"]))
        try:
            yield token
        finally:
            await self.revoke(token)

    async def revoke(self, token: str) -> None:
        """End a token, and what was issued for it."""
        await self._ask("POST", "auth/token/revoke-self", {}, token=token)

    async def make_token(self, root: str, policy: str, *, period: str) -> str:
        """A token with one policy that lives as long as somebody renews it."""
        wanted = {
            "policies": [policy],
            "no_default_policy": True,
            "period": period,
            "display_name": "ona",
        }
        made = await self._ask("POST", "auth/token/create-orphan", wanted, token=root)
        return str(made["auth"]["client_token"])

    async def renew(self, token: str) -> bool:
        """Let a token live on; False: it has ended. :raises NotDone: that is not known"""
        try:
            await self._ask("POST", "auth/token/renew-self", {}, token=token)
        except NotDone as error:
            if error.status != httpx2.codes.FORBIDDEN:
                raise
            return False
        return True

    async def _until_active(self) -> None:
        deadline = monotonic() + ANSWER_SECONDS_MAX
        while monotonic() < deadline:
            try:
                await self._ask("GET", "sys/health")
            except NotDone:
                await asyncio.sleep(POLL_SECONDS)
            else:
                return
        raise NotDone(f"OpenBao was not at work within {ANSWER_SECONDS_MAX:.0f} s")

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str = ""
    ) -> dict[str, Any]:
        headers = {"X-Vault-Token": token} if token else {}
        transport = httpx2.AsyncHTTPTransport(uds=str(self._socket))
        try:
            async with httpx2.AsyncClient(
                transport=transport, base_url="http://openbao/v1/", timeout=ANSWER_SECONDS_MAX
            ) as client:
                answer = await client.request(method, path, json=body, headers=headers)
        except httpx2.TransportError as error:
            raise NotDone(f"OpenBao does not answer: {error or type(error).__name__}") from None
        if answer.status_code >= httpx2.codes.BAD_REQUEST:
            raise NotDone(
                f"OpenBao refused {path}: {_errors(answer)}", status=int(answer.status_code)
            )
        return dict(answer.json()) if answer.content else {}


def _errors(answer: httpx2.Response) -> str:
    try:
        return "; ".join(str(one) for one in answer.json()["errors"]) or str(answer.status_code)
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)


def _decoded(encoded: str, otp: str) -> str:
    """The token behind its one-time pad."""
    padded = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    return bytes(a ^ b for a, b in zip(padded, otp.encode(), strict=True)).decode()
