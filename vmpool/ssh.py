"""Who may log in where: two certificate authorities, one for people's side, one for machines.

Both are ed25519 keys in a directory of the installation. Certificates live for minutes: long
enough to log in with, useless in what rests on a disk.
"""

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.public_key import KeyPairListArg

KEY_TYPE = "ssh-ed25519"
LOGIN_SECONDS = 300
HOST_SECONDS = 600
CLOCK_SKEW_SECONDS = 60
DOMAIN = "machine.ona"

AGENT = "agent"
ROOT = "root"
CONTROL = "ona"

KnownHosts = Callable[[str, str, int | None], Any]


@dataclass(frozen=True, kw_only=True)
class HostIdentity:
    """What a machine proves itself with until its certificate ends."""

    hostname: str
    private_key: str
    """OpenSSH PEM; goes to the machine's tmpfs and nowhere else."""
    certificate: str


def hostname_of(machine_id: str) -> str:
    """The name a machine's host certificate is for."""
    return f"{machine_id}.{DOMAIN}"


def principal_of(machine_id: str, user: str) -> str:
    """What a user certificate must name to log in as this user of this machine."""
    return machine_id if user == AGENT else f"{machine_id}:{'control' if user == CONTROL else user}"


class Authority:
    """Signs logins and host identities; made once per installation."""

    def __init__(self, user_ca: asyncssh.SSHKey, host_ca: asyncssh.SSHKey) -> None:
        self._user_ca = user_ca
        self._host_ca = host_ca

    @classmethod
    async def load(cls, directory: Path) -> "Authority":
        """Read the keys, or make them when there are none yet; safe for several at once.

        :raises OSError, asyncssh.KeyImportError: the directory or a key is unusable
        """

        def read() -> Authority:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return cls(_key(directory / "user_ca"), _key(directory / "host_ca"))

        return await asyncio.to_thread(read)

    @property
    def user_ca(self) -> str:
        """The public key that machines trust for logins, one line."""
        return self._user_ca.export_public_key().decode().strip()

    def login(self, machine_id: str, user: str, *, seconds: int = LOGIN_SECONDS) -> KeyPairListArg:
        """A fresh key with a certificate for this user of this machine."""
        key = asyncssh.generate_private_key(KEY_TYPE)
        return [(key, self.sign_login(key, machine_id, user, seconds=seconds))]

    def sign_login(
        self, key: asyncssh.SSHKey, machine_id: str, user: str, *, seconds: int = LOGIN_SECONDS
    ) -> asyncssh.SSHCertificate:
        """A certificate for somebody's own key, for example of a person's terminal."""
        now = int(time.time())
        return self._user_ca.generate_user_certificate(
            key,
            f"{user}@{machine_id}",
            principals=[principal_of(machine_id, user)],
            valid_after=now - CLOCK_SKEW_SECONDS,
            valid_before=now + seconds,
            permit_x11_forwarding=False,
            permit_agent_forwarding=False,
            permit_user_rc=False,
        )

    def identify(self, machine_id: str, *, seconds: int = HOST_SECONDS) -> HostIdentity:
        """A new host key for a machine, with its certificate."""
        key = asyncssh.generate_private_key(KEY_TYPE)
        now = int(time.time())
        certificate = self._host_ca.generate_host_certificate(
            key,
            machine_id,
            principals=[hostname_of(machine_id)],
            valid_after=now - CLOCK_SKEW_SECONDS,
            valid_before=now + seconds,
        )
        return HostIdentity(
            hostname=hostname_of(machine_id),
            private_key=key.export_private_key().decode(),
            certificate=certificate.export_certificate().decode().strip(),
        )

    def known_hosts_line(self, machine_id: str) -> str:
        """What an OpenSSH client needs in its known_hosts to check this machine."""
        public = self._host_ca.export_public_key().decode().strip()
        return f"@cert-authority {hostname_of(machine_id)} {public}\n"

    def known_hosts(self, machine_id: str) -> KnownHosts:
        """The same for asyncssh.

        A callable, because asyncssh otherwise takes the peer of a unix socket for an address.
        """
        known = asyncssh.import_known_hosts(self.known_hosts_line(machine_id))

        def match(_host: str, _address: str, _port: int | None) -> Any:
            return known.match(hostname_of(machine_id), "", None)

        return match


def _key(path: Path) -> asyncssh.SSHKey:
    if not path.exists():
        _create(path)
    return asyncssh.read_private_key(path)


def _create(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(asyncssh.generate_private_key(KEY_TYPE).export_private_key())
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: of two that come at once, the first one's key stays.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
