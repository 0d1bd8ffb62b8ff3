"""What the doctor says about Vault."""

from pathlib import Path

import hvac
import pytest

from adapters.vault.prepare import OWN_POLICY, Names, prepare
from bot.config import Settings, VaultSettings, load
from bot.doctor.finding import Verdict
from bot.doctor.vault import check_vault
from bot.errors import WrongSettings
from bot.openbao.embedded import EmbeddedOpenBao
from tests.integration.vault.conftest import Place


def settings(place: Place, tmp_path: Path, **vault: object) -> Settings:
    known = {
        "address": place.server.address,
        "namespace": place.namespace,
        "token_file": place.token_file,
        **vault,
    }
    return Settings(data_dir=tmp_path, vault=VaultSettings.model_validate(known))


async def test_all_is_fine_with_a_periodic_token(place: Place, tmp_path: Path):
    found = await check_vault(settings(place, tmp_path))
    assert (found.verdict, found.found) == (Verdict.FINE, place.server.address)
    names = place.root.list("identity/entity/name")
    assert not [name for name in (names or {"data": {"keys": []}})["data"]["keys"] if "ona" in name]


async def test_a_token_that_ends_is_less(place: Place, tmp_path: Path):
    place.token_file.write_text(place.own_token(ttl="30m"))
    found = await check_vault(settings(place, tmp_path))
    assert found.verdict is Verdict.LESS
    assert "minutes at most" in found.found


async def test_a_policy_that_lacks_something_is_named(place: Place, tmp_path: Path):
    place.root.sys.create_or_update_policy(
        "ona", 'path "auth/token/lookup-self" {capabilities=["read"]}'
    )
    found = await check_vault(settings(place, tmp_path))
    assert found.verdict is Verdict.LESS
    assert "identity/entity/name" in found.found
    assert "docs/vault.md" in found.do


async def test_one_that_is_not_there_is_less(place: Place, tmp_path: Path):
    found = await check_vault(settings(place, tmp_path, address="http://127.0.0.1:9"))
    assert found.found.startswith("http://127.0.0.1:9: Vault did not answer")
    assert found.follows == "Turns of projects that want credentials wait."


async def test_without_one_it_is_off(tmp_path: Path):
    found = await check_vault(Settings(data_dir=tmp_path))
    assert found.verdict is Verdict.FINE
    assert found.found.startswith("off")


async def test_the_one_of_an_ona_up_that_runs_here_is_looked_at(tmp_path: Path):
    known = Settings(data_dir=tmp_path)

    def prepared(client: hvac.Client) -> None:
        prepare(client, Names(), issuer="")

    bao = EmbeddedOpenBao(known.openbao_dir, prepared, policy=OWN_POLICY)
    running = await bao.start()
    plain = running.address.replace("https:", "http:")
    mine = {"address": running.address, "token_file": running.token_file}
    others: tuple[dict[str, str], ...] = ({}, {"address": plain})
    try:
        found = await check_vault(known)
        untrusted, unencrypted = [
            await check_vault(Settings(data_dir=tmp_path, vault=wrong))
            for wrong in (VaultSettings.model_validate({**mine, **more}) for more in others)
        ]
    finally:
        await bao.stop()
    assert (found.verdict, found.found) == (Verdict.FINE, running.address)
    assert "certificate is not trusted" in untrusted.found
    assert "vault.ca_file" in untrusted.found
    assert unencrypted.found.startswith(f"{plain}: Vault speaks TLS there")
    assert "https://" in unencrypted.found
    assert (await check_vault(known)).found.startswith("off")


def test_a_login_without_what_it_needs_is_a_wrong_setting(tmp_path: Path):
    with pytest.raises(WrongSettings, match=r"vault\.role is not set"):
        load({"ONA_DATA_DIR": str(tmp_path), "ONA_VAULT__AUTH": "approle"})
    known = load({"ONA_DATA_DIR": str(tmp_path), "VAULT_ADDR": "https://v.example"})
    assert known.vault.address == "https://v.example"
