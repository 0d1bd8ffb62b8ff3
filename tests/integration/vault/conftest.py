"""A namespace of the run's OpenBao, set up as docs/vault.md says, and us in it."""

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import pytest
from pydantic import SecretStr

from adapters.chat.port import Deadline
from adapters.vault.client import Vault
from adapters.vault.logins import by_token_file
from adapters.vault.port import Bearer, Mode, Request, TurnToken, Wanted
from adapters.vault.prepare import OWN_POLICY, TURN_POLICY, Names, prepare
from adapters.vault.tokens import Tokens
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

    def own_token(self, **options: Any) -> str:
        """A token for ourselves."""
        made = self.root.auth.token.create(
            policies=[OWN_POLICY], no_parent=True, no_default_policy=True, **options
        )
        return str(made["auth"]["client_token"])


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


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Wait until something is true."""
    import asyncio

    async def wait(true: Callable[[], object], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.02)

    return wait
