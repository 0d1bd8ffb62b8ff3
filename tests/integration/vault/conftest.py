"""A namespace of the run's OpenBao, set up as docs/vault.md says, and us in it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import hvac
import psycopg
import pytest
from hvac.exceptions import Forbidden
from pydantic import SecretStr

from adapters.chat.port import Deadline
from adapters.vault.client import Vault
from adapters.vault.forges import AppKey, GitHubTokens
from adapters.vault.logins import by_token_file
from adapters.vault.port import Bearer, Mode, Request, TurnToken, Wanted
from adapters.vault.prepare import OWN_POLICY, TURN_POLICY, Names, prepare
from adapters.vault.sealing import Sealing
from adapters.vault.tokens import Tokens
from tests.fakes.github import FakeGitHub
from tests.support.openbao import OpenBao

NAMES = Names()


def soon(seconds: float = 10) -> Deadline:
    return Deadline.after(seconds)


def bearer(**known: Any) -> Bearer:
    session = uuid.uuid4()
    return Bearer(
        **{
            "session_id": session,
            "session": f"s-{session.hex[:6]}",
            "project": "shop",
            "person": "p1",
            "repository": "github:acme/shop",
            "environment": "test",
            **known,
        }
    )


@dataclass(frozen=True)
class Place:
    """A Vault of a test's own."""

    server: OpenBao
    namespace: str
    root: hvac.Client
    vault: Vault
    tokens: Tokens
    token_file: Path

    async def request(
        self, kind: str, whose: Bearer | None = None, *, name: str = "it", **options: object
    ) -> Request:
        """A grant that a turn with a token of its own asks for."""
        whose = whose or bearer()
        wanted = Wanted(name=name, kind=kind, mode=Mode.HANDED, options=options)
        token = await self.tokens.issue(whose, (TURN_POLICY,), soon())
        return Request(id=uuid.uuid4(), wanted=wanted, bearer=whose, token=token)

    def client(self, token: TurnToken | SecretStr) -> hvac.Client:
        """Whoever has that token."""
        secret = token.token if isinstance(token, TurnToken) else token
        return self.server.client(secret.get_secret_value(), namespace=self.namespace)

    def lives(self, token: TurnToken | str) -> bool:
        """Whether Vault knows a token; those of turns may not even look themselves up."""
        secret = token.token.get_secret_value() if isinstance(token, TurnToken) else token
        try:
            self.root.auth.token.lookup(secret)
        except Forbidden as error:
            if "bad token" not in str(error):
                raise
            return False
        return True

    def own_token(self, **options: Any) -> str:
        """A token for ourselves."""
        made = self.root.auth.token.create(
            policies=[OWN_POLICY], no_parent=True, no_default_policy=True, **options
        )
        return str(made["auth"]["client_token"])


def github_tokens(place: Place, github: FakeGitHub, *, key: str = "ona-github") -> GitHubTokens:
    """Those of an App at the GitHub of the tests, by its key in Vault; whoever asks closes it."""
    app = AppKey(place.vault, str(github.app.id), key=key, mount=NAMES.transit)
    sealing = Sealing(place.vault, key=NAMES.sealing_key, mount=NAMES.transit)
    return GitHubTokens(app, sealing, api_url=github.url)


def signs_ssh(place: Place, role: str, kind: str = "user", *, max_ttl: str = "15m") -> None:
    """An authority in the `ssh` engine, and a role by which sessions get certificates of it."""
    place.root.write_data(
        "ssh/config/ca", data={"generate_signing_key": True, "key_type": "ed25519"}
    )
    ssh_role(place, role, kind, max_ttl=max_ttl)


def ssh_role(place: Place, role: str, kind: str, *, max_ttl: str = "15m") -> None:
    """The role alone, or what it is from now on."""
    settings = {
        "key_type": "ca",
        "allow_user_certificates": kind == "user",
        "allow_host_certificates": kind == "host",
        "allowed_users": "sess-{{identity.entity.metadata.session}}",
        "allowed_users_template": True,
        "allowed_domains": "shop.example",
        "allow_subdomains": True,
        "max_ttl": max_ttl,
    }
    place.root.write_data(f"ssh/roles/{role}", data=settings)


@pytest.fixture
async def place(openbao: OpenBao, vault_namespace: str, tmp_path: Path) -> AsyncIterator[Place]:
    root = openbao.client(namespace=vault_namespace)
    prepare(root, NAMES)
    token_file = tmp_path / "vault-token"
    vault = Vault(openbao.address, by_token_file(token_file), namespace=vault_namespace)
    tokens = Tokens(vault, role=NAMES.token_role)
    made = Place(openbao, vault_namespace, root, vault, tokens, token_file)
    token_file.write_text(made.own_token(period="1h"))
    yield made
    await vault.close()


class Postgres:
    """A database of the tests behind Vault's database engine."""

    def __init__(self, place: Place, url: str) -> None:
        parts = urlsplit(url)
        (socket,) = parse_qs(parts.query)["host"]
        self._conninfo = f"host={socket} dbname={parts.path.lstrip('/')}"
        self.place = place
        self.place.root.secrets.database.configure(
            "pg",
            plugin_name="postgresql-database-plugin",
            allowed_roles="*",
            connection_url=f"{self._conninfo} user={{{{username}}}}",
            username="postgres",
            password="unused",
        )

    def role(self, name: str, *, default_ttl: str = "60s", max_ttl: str = "15m") -> None:
        """A role whose users may log in."""
        made = (
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"
        )
        self.place.root.secrets.database.create_role(
            name,
            db_name="pg",
            creation_statements=[made],
            default_ttl=default_ttl,
            max_ttl=max_ttl,
        )

    def lets_in(self, user: str) -> bool:
        """Whether somebody can log in."""
        try:
            psycopg.connect(f"{self._conninfo} user={user}").close()
        except psycopg.OperationalError as error:
            return "does not exist" not in str(error)
        return True

    async def refuses(self, user: str) -> None:
        """Return when somebody can't log in any more."""
        async with asyncio.timeout(10):
            while await asyncio.to_thread(self.lets_in, user):
                await asyncio.sleep(0.02)


@pytest.fixture
def served(place: Place, database_url: str) -> Postgres:
    made = Postgres(place, database_url)
    for role in ("shop-app", "demo-app"):
        made.role(role)
    return made
