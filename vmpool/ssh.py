"""Who may log in where: two certificate authorities, one for people's side, one for machines.

Whoever signs is passed in: somebody outside, or ed25519 keys in a directory of the installation.
Certificates live for minutes: long enough to log in with, useless in what rests on a disk.
"""

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal, Protocol

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


Kind = Literal["user", "host"]


class Signer(Protocol):
    """Signs for both authorities."""

    async def authorities(self) -> tuple[str, str]:
        """Their public keys, the users' and the machines', one line each. :raises NoSignature:"""
        ...

    async def sign(
        self, kind: Kind, public_key: str, *, name: str, principal: str, seconds: int
    ) -> str:
        """A certificate for an OpenSSH public key, one line.

        :param name: what the certificate says that it is for, in logs
        :raises NoSignature: not now
        """
        ...


class LocalSigner:
    """Signs with keys of this installation."""

    def __init__(self, user_ca: asyncssh.SSHKey, host_ca: asyncssh.SSHKey) -> None:
        self._user_ca = user_ca
        self._host_ca = host_ca

    async def authorities(self) -> tuple[str, str]:
        """See `Signer`."""
        user, host = (key.export_public_key().decode() for key in (self._user_ca, self._host_ca))
        return user.strip(), host.strip()

    async def sign(
        self, kind: Kind, public_key: str, *, name: str, principal: str, seconds: int
    ) -> str:
        """See `Signer`."""
        key, now = asyncssh.import_public_key(public_key), int(time.time())
        window: dict[str, Any] = {
            "principals": [principal],
            "valid_after": now - CLOCK_SKEW_SECONDS,
            "valid_before": now + seconds,
        }
        if kind == "host":
            signed = self._host_ca.generate_host_certificate(key, name, **window)
        else:
            signed = self._user_ca.generate_user_certificate(
                key,
                name,
                permit_x11_forwarding=False,
                permit_agent_forwarding=False,
                permit_user_rc=False,
                **window,
            )
        return signed.export_certificate().decode().strip()


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """What a machine's next connection needs, signed before it is touched."""

    host: HostIdentity
    login: KeyPairListArg
    until: float
    """On `monotonic`."""


class Authority:
    """Lets us into machines, and them prove who they are."""

    def __init__(self, signer: Signer) -> None:
        """`signer` is asked for each certificate."""
        self._signer = signer
        self._ready: dict[str, _Ready] = {}

    @classmethod
    async def load(cls, directory: Path) -> "Authority":
        """One with keys in a directory, made when there are none yet; safe for several at once.

        :raises OSError, asyncssh.KeyImportError: the directory or a key is unusable
        """

        def read() -> Authority:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return cls(LocalSigner(_key(directory / "user_ca"), _key(directory / "host_ca")))

        return await asyncio.to_thread(read)

    async def user_ca(self) -> str:
        """The public key that machines trust for logins, one line. :raises NoSignature:"""
        return (await self._signer.authorities())[0]

    async def prepare(self, machine_id: str) -> None:
        """Sign what the next connection to a machine needs, before anything is done to it.

        :raises NoSignature: leave the machine as it is
        """
        for old in [one for one, ready in self._ready.items() if ready.until < monotonic()]:
            del self._ready[old]
        login = await self.login(machine_id, CONTROL)
        host = await self.identify(machine_id)
        # Asked once, so that it is known when it is needed.
        await self._signer.authorities()
        until = monotonic() + LOGIN_SECONDS / 2
        self._ready[machine_id] = _Ready(host=host, login=login, until=until)

    def prepared(self, machine_id: str) -> tuple[HostIdentity, KeyPairListArg] | None:
        """What was signed ahead for a machine, once."""
        ready = self._ready.pop(machine_id, None)
        if ready is None or ready.until < monotonic():
            return None
        return ready.host, ready.login

    async def login(
        self, machine_id: str, user: str, *, seconds: int = LOGIN_SECONDS
    ) -> KeyPairListArg:
        """A fresh key with a certificate for this user of this machine. :raises NoSignature:"""
        key = asyncssh.generate_private_key(KEY_TYPE)
        return [(key, await self.sign_login(key, machine_id, user, seconds=seconds))]

    async def sign_login(
        self, key: asyncssh.SSHKey, machine_id: str, user: str, *, seconds: int = LOGIN_SECONDS
    ) -> asyncssh.SSHCertificate:
        """A certificate for somebody's own key, for example of a person's terminal.

        :raises NoSignature:
        """
        signed = await self._signer.sign(
            "user",
            key.export_public_key().decode().strip(),
            name=f"{user}@{machine_id}",
            principal=principal_of(machine_id, user),
            seconds=seconds,
        )
        return asyncssh.import_certificate(signed)

    async def identify(self, machine_id: str, *, seconds: int = HOST_SECONDS) -> HostIdentity:
        """A new host key for a machine, with its certificate. :raises NoSignature:"""
        private_key = asyncssh.generate_private_key(KEY_TYPE).export_private_key().decode()
        return HostIdentity(
            hostname=hostname_of(machine_id),
            private_key=private_key,
            certificate=await self.certify(machine_id, private_key, seconds=seconds),
        )

    async def certify(
        self, machine_id: str, private_key: str, *, seconds: int = HOST_SECONDS
    ) -> str:
        """A fresh certificate for the host key that a machine has. :raises NoSignature:"""
        return await self._signer.sign(
            "host",
            asyncssh.import_private_key(private_key).export_public_key().decode().strip(),
            name=machine_id,
            principal=hostname_of(machine_id),
            seconds=seconds,
        )

    async def known_hosts_line(self, machine_id: str) -> str:
        """What an OpenSSH client needs in its known_hosts to check this machine.

        :raises NoSignature:
        """
        _, host_ca = await self._signer.authorities()
        return f"@cert-authority {hostname_of(machine_id)} {host_ca}\n"

    async def known_hosts(self, machine_id: str) -> KnownHosts:
        """The same for asyncssh.

        A callable, because asyncssh otherwise takes the peer of a unix socket for an address.
        """
        known = asyncssh.import_known_hosts(await self.known_hosts_line(machine_id))

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
