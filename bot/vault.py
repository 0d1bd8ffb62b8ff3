"""The way to Vault that the settings name, if they name one, and what grants are issued by."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from adapters.chat.port import Deadline
from adapters.forge.accounts import Accounts
from adapters.vault.client import Vault
from adapters.vault.engines import DatabaseUsers, IdentityTokens, KvValues, SshCertificates
from adapters.vault.errors import VaultError
from adapters.vault.logins import (
    KUBERNETES_TOKEN,
    Login,
    by_approle,
    by_jwt,
    by_kubernetes,
    by_token_file,
)
from adapters.vault.machines import MachineCertificates
from adapters.vault.port import Issuer
from adapters.vault.prepare import Names
from adapters.vault.sealing import Sealing
from adapters.vault.tokens import Tokens
from bot.automate.triggers.hook_secrets import HookSecrets
from bot.config import Settings, VaultSettings
from bot.gateway import code_hosts
from bot.govern.grants import Grants
from bot.govern.person_tokens import PersonTokens
from bot.govern.secrets import Secrets
from bot.store.database import Database
from bot.web.services import Discovery
from bot.work.own_host import own_grants
from vmpool.errors import NoSignature
from vmpool.ssh import Authority, Kind

SIGN_SECONDS = 5.0


@asynccontextmanager
async def vault_open(settings: Settings) -> AsyncIterator[Vault | None]:
    """Vault while inside, our token there kept alive; None: there is no Vault."""
    known = settings.vault
    login = login_of(known)
    if known.address is None or login is None:
        yield None
        return
    vault = Vault(known.address, login, namespace=known.namespace, ca_file=known.ca_file)
    keeping = asyncio.create_task(vault.keep())
    try:
        yield vault
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
        await vault.close()


def login_of(known: VaultSettings) -> Login | None:
    """How we log in; None: there is nothing to log in with."""
    mount = known.auth_mount or known.auth
    match known.auth:
        case "approle":
            return by_approle(known.role, known.secret_file, mount=mount)
        case "kubernetes":
            return by_kubernetes(known.role, known.secret_file or KUBERNETES_TOKEN, mount=mount)
        case "jwt" if known.secret_file is not None:
            return by_jwt(known.role, known.secret_file, mount=mount)
    return by_token_file(known.token_file) if known.token_file is not None else None


def names_of(known: VaultSettings) -> Names:
    """What things are called there."""
    return Names(
        kv=known.kv_mount,
        database=known.database_mount,
        ssh=known.ssh_mount,
        transit=known.transit_mount,
        user_ca=known.user_ca_mount,
        host_ca=known.host_ca_mount,
        token_role=known.token_role,
        oidc_key=known.oidc_key,
    )


@asynccontextmanager
async def grants_open(
    settings: Settings, vault: Vault | None, database: Database
) -> AsyncIterator[Grants | None]:
    """Grants while inside; None where there is no Vault: then turns get none."""
    if vault is None:
        yield None
        return
    names = names_of(settings.vault)
    with ExitStack() as stack:
        issuers = _issuers(settings, vault, names, stack)
        grants = Grants(
            database,
            Tokens(vault, role=names.token_role),
            issuers,
            environment=settings.vault.environment,
            own=own_grants(code_hosts(settings), issuers),
        )
        try:
            yield grants
        finally:
            await grants.close()


async def authority_of(settings: Settings, vault: Vault | None) -> Authority:
    """Who signs the certificates of this host's machines: Vault, or keys that lie here.

    :raises OSError: the directory of the keys is unusable
    """
    if vault is None or not settings.vault.signs_machines:
        return await Authority.load(settings.host_dir / "ca")
    return Authority(_Signer(MachineCertificates(vault, names_of(settings.vault))))


class _Signer:
    """Vault's authorities as machines' side knows them."""

    def __init__(self, certificates: MachineCertificates) -> None:
        self._certificates = certificates

    async def authorities(self) -> tuple[str, str]:
        """See `vmpool.ssh.Signer`."""
        try:
            return await self._certificates.authorities(Deadline.after(SIGN_SECONDS))
        except VaultError as error:
            raise _unsigned(error) from error

    async def sign(
        self, kind: Kind, public_key: str, *, name: str, principal: str, seconds: int
    ) -> str:
        """See `vmpool.ssh.Signer`."""
        try:
            return await self._certificates.sign(
                kind,
                public_key,
                name=name,
                principal=principal,
                seconds=seconds,
                deadline=Deadline.after(SIGN_SECONDS),
            )
        except VaultError as error:
            raise _unsigned(error) from error


def _unsigned(error: VaultError) -> NoSignature:
    return NoSignature(f"nobody signs logins into machines, because {error}; {error.do}")


def _issuers(settings: Settings, vault: Vault, names: Names, stack: ExitStack) -> dict[str, Issuer]:
    issuers: dict[str, Issuer] = {
        "kv": KvValues(vault, names.kv),
        "database": DatabaseUsers(vault, names.database),
        "ssh": SshCertificates(vault, names.ssh),
        "identity": IdentityTokens(vault, key=names.oidc_key),
    }
    if (settings.vault.github_key and settings.github.app_id) or settings.gitlab.token:
        # They bring the SDKs of their forges along.
        from bot.forge_issuers import forge_issuers

        issuers |= forge_issuers(settings, vault, names, stack)
    return issuers


def secrets_of(vault: Vault | None, known: VaultSettings | None = None) -> Secrets | None:
    """The secrets in it; None: there is no Vault."""
    if vault is None:
        return None
    names = names_of(known or VaultSettings())
    return Secrets(vault, Tokens(vault, role=names.token_role), names)


def hook_secrets_of(vault: Vault | None, known: VaultSettings) -> HookSecrets:
    """Those of the webhooks of automations; without Vault they are kept as they are."""
    return HookSecrets(None if vault is None else _sealing(vault, names_of(known)))


def _sealing(vault: Vault, names: Names) -> Sealing:
    return Sealing(vault, key=names.sealing_key, mount=names.transit)


def tokens_of(
    database: Database,
    vault: Vault | None,
    settings: Settings,
    accounts: Mapping[str, Accounts],
) -> PersonTokens | None:
    """What acts as people on forges; None: there is no Vault, and nothing does."""
    if vault is None:
        return None
    acting = {
        name: one
        for name, one in accounts.items()
        # GitHub's may what both App and person may; GitLab's what people are asked for.
        if name != "gitlab" or settings.gitlab.act_for_people
    }
    return PersonTokens(database, _sealing(vault, names_of(settings.vault)), acting)


def discovery_of(vault: Vault | None) -> Discovery | None:
    """Reads what Vault publishes about the identity tokens that it signs."""
    if vault is None:
        return None

    async def read(name: str, deadline: Deadline) -> Mapping[str, Any]:
        path = f"/v1/identity/oidc/.well-known/{name}"
        found = await vault.run(lambda client: client.adapter.get(url=path), deadline)
        return dict(found)

    return read
