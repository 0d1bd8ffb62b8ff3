"""What `ona up` brings along is what our processes reach by the settings that it hands them."""

from contextlib import AsyncExitStack
from pathlib import Path

from pydantic import SecretStr

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
