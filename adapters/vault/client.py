"""Vault as one process of ours speaks to it: hvac in bounded threads, and a login that lasts.

    first call, or its token ended               a third of its life
──────────────▶ log in ──▶ token ──▶ calls … ──────────────▶ renew ──▶ …
                  ▲                                            │ refused
                  └────────────────────────────────────────────┘
"""

import asyncio
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import hvac
import requests
import structlog
from hvac import exceptions as theirs
from pydantic import SecretStr

from adapters.blocking import Bridge, DeadlineAdapter
from adapters.chat.port import Deadline, Unavailable, Uncertain
from adapters.vault.errors import (
    Expired,
    Forbidden,
    Misasked,
    Missing,
    Sealed,
    Unreachable,
    VaultBug,
    VaultError,
)
from adapters.vault.logins import Login, Own

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

THREADS_MAX = 16
WORDS_MAX = 200
"""Characters of what Vault says that are passed on."""
UNTRUSTED = (
    "Vault's certificate is not trusted here, or no TLS is spoken at its address"
    " (vault.ca_file names the certificate of whoever signed it)"
)
PLAIN_TO_TLS = "HTTP request to an HTTPS server"
"""What a listener with TLS says to a request without."""
LOGIN_SECONDS = 10.0
AGAIN_SECONDS = 5.0
"""Between two attempts to renew or to log in."""
PAUSE_SECONDS_MAX = 3600.0


class Vault:
    """One Vault or OpenBao, in one namespace, as whoever we are there."""

    def __init__(
        self, address: str, login: Login, *, namespace: str = "", ca_file: Path | None = None
    ) -> None:
        """`address` such as https://vault.example.org:8200; nothing is sent before it is used."""
        self.address = address.rstrip("/")
        self._login = login
        self._namespace = namespace or None
        self._bridge = Bridge("Vault", threads_max=THREADS_MAX)
        self._session = requests.Session()
        # What ~/.netrc has for the host must not be sent along.
        self._session.trust_env = False
        self._session.verify = str(ca_file) if ca_file else True
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, DeadlineAdapter(pool_maxsize=THREADS_MAX))
        self._own: Own | None = None
        self._client: hvac.Client | None = None
        self._logging_in = asyncio.Lock()
        self._renew_at: float | None = None
        self._logged_in = asyncio.Event()

    async def run(self, what: Callable[[hvac.Client], Result], deadline: Deadline) -> Result:
        """Let `what` speak as ourselves; once more after a new login if the token had ended.

        :raises VaultError:
        """
        client = await self._ourselves(deadline)
        try:
            return await self._call(what, client, deadline)
        except Forbidden as error:
            if await self._holds(client, deadline):
                raise
            log.info("vault_token_ended", why=str(error))
            self._forget(client)
        return await self._call(what, await self._ourselves(deadline), deadline)

    async def run_as(
        self, token: SecretStr, what: Callable[[hvac.Client], Result], deadline: Deadline
    ) -> Result:
        """Let `what` speak with another token, such as a turn's. :raises VaultError:"""
        return await self._call(what, self._speaker(token.get_secret_value()), deadline)

    async def keep(self) -> None:
        """Renew our token at a third of its life, for ever; log in again when it can't be."""
        while True:
            await self._until_renewal()
            client, own = self._client, self._own
            if client is None or own is None:
                continue
            try:
                await self._renew(client, own)
            except VaultError as error:
                log.warning("vault_token_not_renewed", why=str(error))
                await asyncio.sleep(AGAIN_SECONDS)

    async def examine(self, deadline: Deadline) -> dict[str, Any]:
        """What our own token is, as Vault has it; for the doctor. :raises VaultError:"""
        found = await self.run(lambda client: client.auth.token.lookup_self(), deadline)
        return dict(found["data"])

    async def close(self) -> None:
        """End threads and connections, and the token if nobody else uses it."""
        client, own = self._client, self._own
        if client is not None and own is not None and own.ours:
            try:
                await self._call(
                    lambda vault: vault.auth.token.revoke_self(), client, Deadline.after(2.0)
                )
            except VaultError as error:
                log.info("vault_token_left", why=str(error))
        self._bridge.close()
        self._session.close()

    # -- our own login ----------------------------------------------------------------------

    async def _ourselves(self, deadline: Deadline) -> hvac.Client:
        async with self._logging_in:
            if self._client is None:
                began = monotonic()
                self._take(await self._log_in(deadline), began)
            assert self._client is not None
            return self._client

    async def _log_in(self, deadline: Deadline) -> Own:
        try:
            return await self._call(self._login, self._speaker(""), deadline)
        except (Forbidden, Misasked, Missing) as error:
            raise Expired(f"Vault does not let us log in: {error}") from error

    def _take(self, own: Own, began: float) -> None:
        self._own = own
        self._client = self._speaker(own.token.get_secret_value())
        self._renew_at = began + own.seconds / 3 if own.seconds else None
        self._logged_in.set()

    def _forget(self, client: hvac.Client) -> None:
        if self._client is client:
            self._client = self._own = self._renew_at = None

    async def _holds(self, client: hvac.Client, deadline: Deadline) -> bool:
        """Whether the token itself is good, and it is the policies that refuse."""
        try:
            await self._call(lambda vault: vault.auth.token.lookup_self(), client, deadline)
        except Forbidden:
            return False
        return True

    async def _until_renewal(self) -> None:
        while True:
            self._logged_in.clear()
            left = PAUSE_SECONDS_MAX if self._renew_at is None else self._renew_at - monotonic()
            if self._client is not None and left <= 0:
                return
            try:
                async with asyncio.timeout(min(max(left, 0.05), PAUSE_SECONDS_MAX)):
                    await self._logged_in.wait()
            except TimeoutError:
                continue

    async def _renew(self, client: hvac.Client, own: Own) -> None:
        """Make the token live on, or get another one while this one still does."""
        began, deadline = monotonic(), Deadline.after(LOGIN_SECONDS)
        if own.renewable:
            try:
                renewed = await self._call(
                    lambda vault: vault.auth.token.renew_self(), client, deadline
                )
            except (Forbidden, Misasked) as error:
                log.info("vault_logs_in_again", why=str(error))
            else:
                seconds = float(renewed["auth"]["lease_duration"])
                # One that comes near its maximum gets less each time.
                if seconds > own.seconds / 2:
                    self._take(_living(own, seconds, bool(renewed["auth"]["renewable"])), began)
                    return
        self._take(await self._log_in(deadline), began)

    # -- calls ------------------------------------------------------------------------------

    def _speaker(self, token: str) -> hvac.Client:
        return hvac.Client(
            url=self.address,
            token=token,
            namespace=self._namespace,
            session=self._session,
            verify=self._session.verify,
        )

    async def _call(
        self, what: Callable[[hvac.Client], Result], client: hvac.Client, deadline: Deadline
    ) -> Result:
        try:
            return await self._bridge.call(functools.partial(what, client), deadline)
        except theirs.VaultError as error:
            raise understood(error, str(client.token or "")) from None
        except (Unavailable, Uncertain) as error:
            if isinstance(error.__cause__, requests.exceptions.SSLError):
                raise Unreachable(UNTRUSTED) from error
            raise Unreachable(f"Vault did not answer: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise VaultBug(f"Vault answered in a way we don't know: {error!r}") from error


def _living(own: Own, seconds: float, renewable: bool) -> Own:
    return Own(token=own.token, seconds=seconds, renewable=renewable, ours=own.ours)


def understood(error: theirs.VaultError, token: str = "") -> VaultError:
    """An answer that is an error, in our words; pure.

    :param token: by which it was asked; what answers may repeat it, and people read the words
    """
    words = "; ".join(str(one).strip() for one in error.errors or ()) or "no reason given"
    words = words.replace(token, "…") if token else words
    said = " ".join(words.split())[:WORDS_MAX]
    path = str(error.url or "").partition("/v1/")[2]
    if PLAIN_TO_TLS in (error.text or ""):
        return Unreachable("Vault speaks TLS there: its address has to begin with https://")
    if isinstance(error, theirs.VaultDown) and "sealed" in said:
        return Sealed("Vault is sealed")
    kind, happened = _KINDS.get(type(error), (VaultBug, "Vault answered in a way we don't know"))
    return kind(f"{happened}: {said} ({error.method or 'request'} {path})")


_KINDS: Mapping[type[theirs.VaultError], tuple[type[VaultError], str]] = {
    theirs.VaultNotInitialized: (Sealed, "Vault is not initialised"),
    theirs.Forbidden: (Forbidden, "Vault does not permit it"),
    theirs.Unauthorized: (Forbidden, "Vault does not permit it"),
    theirs.InvalidPath: (Missing, "Vault has no such thing"),
    theirs.InvalidRequest: (Misasked, "Vault refuses the request"),
    theirs.VaultDown: (Unreachable, "Vault is not ready"),
    theirs.RateLimitExceeded: (Unreachable, "Vault has too much to do"),
    theirs.InternalServerError: (Unreachable, "Vault could not do it"),
    theirs.BadGateway: (Unreachable, "Vault is not reached behind its proxy"),
    theirs.PreconditionFailed: (Unreachable, "Vault has not caught up yet"),
    theirs.UnexpectedError: (Unreachable, "Vault could not do it"),
}
