"""Certificates for logins into machines, and for machines: two authorities in Vault."""

import asyncio

import hvac

from adapters.chat.port import Deadline
from adapters.vault.client import Vault
from adapters.vault.prepare import Names

EXTENSIONS = {"permit-pty": "", "permit-port-forwarding": ""}


class MachineCertificates:
    """Signs as whoever we are in Vault; the keys of the authorities never leave it."""

    def __init__(self, vault: Vault, names: Names) -> None:
        """`names` of the two mounts and of the role in both."""
        self._vault = vault
        self._names = names
        self._authorities: tuple[str, str] | None = None
        self._asking = asyncio.Lock()

    async def authorities(self, deadline: Deadline) -> tuple[str, str]:
        """The public keys, the users' and the machines'; asked once. :raises VaultError:"""
        async with self._asking:
            if self._authorities is None:
                mounts = (self._names.user_ca, self._names.host_ca)

                def read(client: hvac.Client) -> list[str]:
                    ssh = client.secrets.ssh
                    keys = [ssh.read_public_key(mount_point=mount) for mount in mounts]
                    return [str(one["data"]["public_key"]).strip() for one in keys]

                user, host = await self._vault.run(read, deadline)
                self._authorities = user, host
            return self._authorities

    async def sign(
        self,
        kind: str,
        public_key: str,
        *,
        name: str,
        principal: str,
        seconds: int,
        deadline: Deadline,
    ) -> str:
        """A certificate, one line. :raises VaultError:"""
        user = kind == "user"
        mount = self._names.user_ca if user else self._names.host_ca
        answer = await self._vault.run(
            lambda client: client.secrets.ssh.sign_ssh_key(
                self._names.ssh_role,
                public_key,
                ttl=f"{seconds}s",
                valid_principals=principal,
                cert_type=kind,
                key_id=name,
                extensions=EXTENSIONS if user else None,
                mount_point=mount,
            ),
            deadline,
        )
        return str(answer["data"]["signed_key"]).strip()
