"""The secrets that deliveries to webhooks are signed with: made here, kept sealed by Vault.

To check a signature the secret itself is needed, so a digest of it would not do. Without Vault it
lies in the row as it is: whoever reads the database could start what the webhook starts.
"""

import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from adapters.chat.port import Deadline
from adapters.vault.errors import VaultError
from bot.errors import Unfit
from bot.govern.secrets import told

PREFIX = "onahook_"
"""By which scanners of secrets know one."""
SECRET_BYTES = 32
SEAL_SECONDS = 10.0
OPEN_SECONDS = 5.0
REMEMBERED_SECONDS = 300.0
"""So long a secret that was opened stays in memory: a flood does not ask Vault each time."""
REMEMBERED_MAX = 1_000


class Seals(Protocol):
    """See `adapters.vault.sealing.Sealing`."""

    async def seal(self, text: str, deadline: Deadline) -> str:
        """What may be written down. :raises VaultError:"""
        ...

    async def open(self, sealed: str, deadline: Deadline) -> str:
        """What was sealed. :raises VaultError:"""
        ...


@dataclass(frozen=True, kw_only=True)
class Made:
    """A new secret."""

    secret: SecretStr
    """Shown once, to who set up the webhook."""
    sealed: str
    """What `automation_trigger.sealed` keeps."""


class HookSecrets:
    """Makes and opens them."""

    def __init__(
        self, seals: Seals | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Without `seals` they are kept as they are."""
        self._seals = seals
        self._clock = clock
        self._opened: OrderedDict[str, tuple[float, SecretStr]] = OrderedDict()

    @property
    def sealed(self) -> bool:
        """Whether what is kept tells nothing to who reads it."""
        return self._seals is not None

    async def make(self) -> Made:
        """A new one. :raises OnaError: Vault does not seal it now"""
        secret = f"{PREFIX}{secrets.token_urlsafe(SECRET_BYTES)}"
        if self._seals is None:
            return Made(secret=SecretStr(secret), sealed=json.dumps({"plain": secret}))
        try:
            sealed = await self._seals.seal(secret, Deadline.after(SEAL_SECONDS))
        except VaultError as error:
            raise told(error) from error
        return Made(secret=SecretStr(secret), sealed=json.dumps({"vault": sealed}))

    async def open(self, sealed: str) -> SecretStr:
        """The secret that is kept so. :raises OnaError: it can't be opened, or not now"""
        until, secret = self._opened.get(sealed, (0.0, SecretStr("")))
        if until > self._clock():
            return secret
        secret = await self._open(sealed)
        self._opened[sealed] = (self._clock() + REMEMBERED_SECONDS, secret)
        self._opened.move_to_end(sealed)
        while len(self._opened) > REMEMBERED_MAX:
            self._opened.popitem(last=False)
        return secret

    async def _open(self, sealed: str) -> SecretStr:
        kept = json.loads(sealed) if sealed else {}
        if "plain" in kept:
            return SecretStr(kept["plain"])
        if "vault" not in kept or self._seals is None:
            raise Unfit(
                "the secret of this webhook can't be opened here",
                do="approve the automation again: that makes another one",
            )
        try:
            return SecretStr(await self._seals.open(kept["vault"], Deadline.after(OPEN_SECONDS)))
        except VaultError as error:
            raise told(error) from error
