"""Machines whose certificates Vault signs: a real guest program, asyncssh on our side."""

from pathlib import Path

import asyncssh
import pytest
from asyncssh.public_key import CERT_TYPE_HOST, CERT_TYPE_USER

from bot.config import Settings, VaultSettings
from bot.vault import authority_of
from tests.fakes.guest import HostedGuest
from tests.integration.vault.conftest import NAMES, Place
from vmpool.errors import NoRoom, NoSignature
from vmpool.ssh import AGENT, CONTROL, Authority, hostname_of, principal_of


@pytest.fixture
async def authority(place: Place, tmp_path: Path) -> Authority:
    return await authority_of(Settings(data_dir=tmp_path), place.vault)


async def test_we_get_into_a_machine_with_what_vault_signed(
    authority: Authority, guest: HostedGuest
):
    channel = await guest.open(authority)
    done = await channel.run(["echo", "in"], timeout_seconds=20)
    assert done.stdout == b"in\n"
    await channel.close()


async def test_what_was_signed_ahead_is_used_once(
    authority: Authority, guest: HostedGuest, place: Place
):
    await authority.prepare("m-test")
    place.root.sys.disable_secrets_engine(NAMES.user_ca)
    channel = await guest.open(authority)
    await channel.close()
    with pytest.raises(NoSignature, match="nobody signs logins into machines"):
        await guest.open(authority)


async def test_a_login_is_for_one_user_of_one_machine_for_minutes(authority: Authority):
    key = asyncssh.generate_private_key("ssh-ed25519")
    certificate = await authority.sign_login(key, "m-1", AGENT)
    certificate.validate(CERT_TYPE_USER, "m-1")
    for principal in ("m-2", principal_of("m-1", CONTROL)):
        with pytest.raises(ValueError, match="principal"):
            certificate.validate(CERT_TYPE_USER, principal)
    host = asyncssh.import_certificate((await authority.identify("m-1")).certificate)
    host.validate(CERT_TYPE_HOST, hostname_of("m-1"))


async def test_nobody_signs_for_hours_or_with_the_other_authority(
    authority: Authority, place: Place
):
    key = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(NoSignature):
        await authority.sign_login(key, "m-1", AGENT, seconds=7200)
    assert issubclass(NoSignature, NoRoom)


async def test_without_vault_keys_of_this_host_sign(place: Place, tmp_path: Path):
    here = Settings(data_dir=tmp_path, vault=VaultSettings(signs_machines=False))
    for vault in (None, place.vault):
        await authority_of(here, vault)
        assert (tmp_path / "host/ca/user_ca").exists()
