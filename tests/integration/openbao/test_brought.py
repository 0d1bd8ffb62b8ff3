"""What `ona up` brings along is what our processes reach by the settings that it hands them."""

from contextlib import AsyncExitStack
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from adapters.chat.port import Deadline
from adapters.vault.errors import Forbidden
from adapters.vault.forges import AppKey
from bot.config import load
from bot.govern.access import Standing
from bot.openbao import server
from bot.openbao.files import Files
from bot.store.ids import new_id
from bot.supervisor import Signals
from bot.up import _Up
from bot.vault import secrets_of, vault_open

ANN = Standing(person_id=new_id(), name="Ann", active=True, operator=True)


def up_with(tmp_path: Path, **variables: str) -> _Up:
    settings = load({"ONA_DATA_DIR": str(tmp_path), **variables})
    return _Up(settings, tmp_path, Signals(), print)


async def test_a_process_that_ona_up_starts_sets_and_tries_a_secret(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        handed = await up_with(tmp_path)._vault(stack)
        settings = load({"ONA_DATA_DIR": str(tmp_path), **handed})
        async with vault_open(settings) as vault:
            secrets = secrets_of(vault)
            assert secrets is not None
            await secrets.set("shop", "A", SecretStr("x"), ANN)
            assert [one.name for one in await secrets.list("shop")] == ["A"]
            assert (await secrets.test("shop", "A", ANN)).readable
        assert server.running(Files(settings.openbao_dir)) is not None
    assert server.running(Files(settings.openbao_dir)) is None
    assert settings.vault.token_file is not None
    assert settings.vault.token_file.read_text().strip() not in str(settings)


async def test_nothing_is_started_where_a_vault_is_set_or_none_is_wanted(tmp_path: Path) -> None:
    for variables in (
        {"VAULT_ADDR": "https://vault.example.org:8200"},
        {"ONA_VAULT__ADDRESS": "https://vault.example.org:8200"},
        {"ONA_VAULT__EMBEDDED": "false"},
    ):
        async with AsyncExitStack() as stack:
            assert await up_with(tmp_path, **variables)._vault(stack) == {}
    assert not (tmp_path / "openbao").exists()


async def test_the_apps_key_signs_there_and_can_not_be_had_from_there(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    app = {"ONA_GITHUB__APP_ID": "7", "ONA_GITHUB__PRIVATE_KEY": pem}
    async with AsyncExitStack() as stack:
        handed = await up_with(tmp_path, **app)._vault(stack)
        settings = load({"ONA_DATA_DIR": str(tmp_path), **app, **handed})
        name = settings.vault.github_key
        async with vault_open(settings) as vault:
            assert vault is not None
            token = await AppKey(vault, "7", key=name, mount="transit").token(Deadline.after(10))
            claims = jwt.decode(token, key.public_key(), algorithms=["RS256"])
            assert claims["iss"] == "7"
            with pytest.raises(Forbidden):
                await vault.run(
                    lambda client: client.read(f"transit/export/signing-key/{name}"),
                    Deadline.after(10),
                )


async def test_a_key_that_is_none_keeps_nothing_from_starting(tmp_path: Path) -> None:
    app = {"ONA_GITHUB__APP_ID": "7", "ONA_GITHUB__PRIVATE_KEY": "nonsense"}
    async with AsyncExitStack() as stack:
        assert "ONA_VAULT__ADDRESS" in await up_with(tmp_path, **app)._vault(stack)
