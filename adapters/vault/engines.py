"""Grants from Vault's own engines: values, database users, SSH certificates, identity tokens."""

import asyncio
import hashlib
import math
from collections.abc import Mapping

import asyncssh
import hvac
from pydantic import SecretStr

from adapters.chat.port import Deadline
from adapters.vault.client import Vault
from adapters.vault.errors import Misasked
from adapters.vault.port import (
    ANY_MODE,
    ONLY_HANDED,
    ONLY_INJECTED,
    Issued,
    Mode,
    Request,
    Trail,
)
from adapters.vault.tokens import LIVING_SECONDS_MAX

CERTIFICATE_SECONDS = 600
IDENTITY_SECONDS_MAX = 600
"""An identity token can't be revoked: this is how long it may be misused."""


def text_option(request: Request, name: str, default: str | None = None) -> str:
    """An option that is a text. :raises Misasked:"""
    value = request.wanted.options.get(name, default)
    if not isinstance(value, str) or not value:
        raise Misasked(f"the grant {request.wanted.name} needs the option {name}, a text")
    return value


class _Engine:
    """What these have in common: they are asked with the turn's own token, and end by time."""

    modes: frozenset[Mode] = ANY_MODE
    by_token = False
    seconds_max: float = IDENTITY_SECONDS_MAX

    def __init__(self, vault: Vault, mount: str) -> None:
        """`mount` where nothing else is asked for."""
        self.vault = vault
        self.mount = mount

    async def revoke(self, trail: Trail, deadline: Deadline) -> bool:
        """Nothing but time ends them."""
        return False


class KvValues(_Engine):
    """Values of the KV engine, version 2.

    Options: `path`, below the mount, default `projects/<project>/<name of the grant>`; `mount`.
    What is stored does not end, so it is never put into a machine.
    """

    modes = ONLY_INJECTED
    seconds_max = math.inf

    async def issue(self, request: Request, deadline: Deadline) -> Issued:
        """Read the newest version."""
        default = f"projects/{request.bearer.project}/{request.wanted.name}"
        path, mount = (
            text_option(request, "path", default),
            text_option(request, "mount", self.mount),
        )
        answer = await self.vault.run_as(
            request.token.token,
            lambda client: client.secrets.kv.v2.read_secret_version(
                path, mount_point=mount, raise_on_deleted_version=True
            ),
            deadline,
        )
        values = {name: SecretStr(str(value)) for name, value in answer["data"]["data"].items()}
        return Issued(values=values, seconds=math.inf)


class DatabaseUsers(_Engine):
    """Users that a database engine makes for one turn. Options: `role`; `mount`."""

    modes = ONLY_HANDED
    by_token = True
    seconds_max = LIVING_SECONDS_MAX

    async def issue(self, request: Request, deadline: Deadline) -> Issued:
        """Make a user."""
        role, mount = text_option(request, "role"), text_option(request, "mount", self.mount)
        answer = await self.vault.run_as(
            request.token.token,
            lambda client: client.secrets.database.generate_credentials(role, mount_point=mount),
            deadline,
        )
        return Issued(
            values={name: SecretStr(str(value)) for name, value in answer["data"].items()},
            seconds=float(answer["lease_duration"]),
            renewable=bool(answer["renewable"]),
            trace={"lease": answer["lease_id"]},
        )

    async def renew(self, issued: Issued, deadline: Deadline) -> Issued:
        """Let the user live on."""
        lease = issued.trace["lease"]
        answer = await self.vault.run(lambda client: client.sys.renew_lease(lease), deadline)
        return Issued(
            values=issued.values,
            seconds=float(answer["lease_duration"]),
            renewable=bool(answer["renewable"]),
            trace=issued.trace,
        )

    async def revoke(self, trail: Trail, deadline: Deadline) -> bool:
        """Drop the user; one that ended with its token is dropped already."""
        lease = trail.trace.get("lease")
        if lease is None:
            # It was made with a token that ends within seconds, and takes it along.
            return False
        try:
            await self.vault.run(lambda client: client.sys.revoke_lease(lease), deadline)
        except Misasked as error:
            if "invalid lease" not in str(error):
                raise
        return True


class SshCertificates(_Engine):
    """SSH certificates for a new key. Options: `role`; `principals`; `type` user or host; `mount`.

    They can't be revoked: they live for minutes, each for one principal.
    """

    modes = ONLY_HANDED
    seconds_max = CERTIFICATE_SECONDS

    async def issue(self, request: Request, deadline: Deadline) -> Issued:
        """Make a key and have it signed."""
        role, mount = text_option(request, "role"), text_option(request, "mount", self.mount)
        principals = text_option(request, "principals", f"sess-{request.bearer.session}")
        if "," in principals:
            raise Misasked(f"the grant {request.wanted.name} is for one principal, not several")
        kind = text_option(request, "type", "user")
        key = await asyncio.to_thread(asyncssh.generate_private_key, "ssh-ed25519")

        def sign(client: hvac.Client) -> Mapping[str, str]:
            answer = client.secrets.ssh.sign_ssh_key(
                role,
                key.export_public_key().decode(),
                ttl=f"{CERTIFICATE_SECONDS}s",
                valid_principals=principals,
                cert_type=kind,
                mount_point=mount,
            )
            return {name: str(value) for name, value in answer["data"].items()}

        signed = await self.vault.run_as(request.token.token, sign, deadline)
        return Issued(
            values={
                "private_key": SecretStr(key.export_private_key().decode()),
                "certificate": SecretStr(signed["signed_key"].strip()),
            },
            seconds=CERTIFICATE_SECONDS,
            trace={"serial": signed["serial_number"]},
        )


class IdentityTokens(_Engine):
    """OIDC tokens that say whose turn it is. Options: `audience`.

    The token is of the turn's entity: `sub` is its id, and session, project, repository, person
    and environment are claims. Each audience of a project has a role of its own, so that Vault's
    policies too know for whom a token may be.
    """

    def __init__(self, vault: Vault, *, key: str) -> None:
        """`key` is a named key of the identity engine which signs for every audience."""
        super().__init__(vault, "identity")
        self._key = key
        self._known: set[str] = set()

    async def issue(self, request: Request, deadline: Deadline) -> Issued:
        """Have a token signed."""
        role = await self._role(request, deadline)
        answer = await self.vault.run_as(
            request.token.token,
            lambda client: client.secrets.identity.generate_signed_id_token(role),
            deadline,
        )
        return Issued(
            values={"token": SecretStr(answer["data"]["token"])},
            seconds=float(answer["data"]["ttl"]),
        )

    async def _role(self, request: Request, deadline: Deadline) -> str:
        audience = text_option(request, "audience")
        role = role_of(request.bearer.project, audience)
        if role not in self._known:
            await self.vault.run(
                lambda client: client.secrets.identity.create_or_update_role(
                    name=role,
                    key=self._key,
                    template=CLAIMS,
                    client_id=audience,
                    ttl=f"{IDENTITY_SECONDS_MAX}s",
                ),
                deadline,
            )
            self._known.add(role)
        return role


def role_of(project: str, audience: str) -> str:
    """The name of the role for one audience of one project."""
    return f"ona-{project}-{hashlib.sha256(audience.encode()).hexdigest()[:16]}"


CLAIMS = """
{
  "session": {{identity.entity.metadata.session}},
  "project": {{identity.entity.metadata.project}},
  "repository": {{identity.entity.metadata.repository}},
  "person": {{identity.entity.metadata.person}},
  "environment": {{identity.entity.metadata.environment}},
  "nbf": {{time.now}}
}
"""
