"""Sealing by Vault's transit engine: what we keep elsewhere, nobody but we can read."""

import base64

from adapters.chat.port import Deadline
from adapters.vault.client import Vault


class Sealing:
    """One key of the transit engine."""

    def __init__(self, vault: Vault, *, key: str, mount: str) -> None:
        """`key` is its name in the transit engine at `mount`; it never leaves Vault."""
        self._vault = vault
        self._key = key
        self._mount = mount

    async def seal(self, text: str, deadline: Deadline) -> str:
        """What may be written down. :raises VaultError:"""
        plain = base64.b64encode(text.encode()).decode()
        answer = await self._vault.run(
            lambda client: client.secrets.transit.encrypt_data(
                name=self._key, plaintext=plain, mount_point=self._mount
            ),
            deadline,
        )
        return str(answer["data"]["ciphertext"])

    async def open(self, sealed: str, deadline: Deadline) -> str:
        """What was sealed. :raises VaultError:"""
        answer = await self._vault.run(
            lambda client: client.secrets.transit.decrypt_data(
                name=self._key, ciphertext=sealed, mount_point=self._mount
            ),
            deadline,
        )
        return base64.b64decode(answer["data"]["plaintext"]).decode()
