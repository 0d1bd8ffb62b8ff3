"""The authorities that sign logins and host identities."""

import asyncio
import stat
from pathlib import Path

import asyncssh
import pytest
from asyncssh.public_key import CERT_TYPE_HOST, CERT_TYPE_USER

from vmpool.ssh import AGENT, CONTROL, Authority, hostname_of, principal_of


async def test_keys_are_made_once_and_only_the_owner_may_read_them(tmp_path: Path) -> None:
    directory = tmp_path / "ca"
    first = await Authority.load(directory)
    again = await Authority.load(directory)
    assert await first.user_ca() == await again.user_ca()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert sorted(path.name for path in directory.iterdir()) == ["host_ca", "user_ca"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


async def test_many_that_make_the_keys_at_once_agree(tmp_path: Path) -> None:
    loaded = await asyncio.gather(*(Authority.load(tmp_path / "ca") for _ in range(8)))
    assert len({await authority.user_ca() for authority in loaded}) == 1
    assert len({await authority.known_hosts_line("m") for authority in loaded}) == 1


async def test_a_damaged_key_is_an_error_and_not_replaced(tmp_path: Path) -> None:
    await Authority.load(tmp_path)
    (tmp_path / "user_ca").write_text("not a key")
    with pytest.raises(asyncssh.KeyImportError):
        await Authority.load(tmp_path)
    assert (tmp_path / "user_ca").read_text() == "not a key"


async def test_a_login_is_for_one_user_of_one_machine_for_minutes(tmp_path: Path) -> None:
    authority = await Authority.load(tmp_path)
    key = asyncssh.generate_private_key("ssh-ed25519")
    certificate = await authority.sign_login(key, "m-1", AGENT, seconds=300)
    certificate.validate(CERT_TYPE_USER, "m-1")
    for principal in ("m-2", principal_of("m-1", CONTROL), principal_of("m-1", "root")):
        with pytest.raises(ValueError, match="principal"):
            certificate.validate(CERT_TYPE_USER, principal)
    later = await authority.sign_login(key, "m-1", AGENT, seconds=-30)
    with pytest.raises(ValueError, match="expired"):
        later.validate(CERT_TYPE_USER, "m-1")


async def test_every_identity_has_a_key_of_its_own_and_ends_soon(tmp_path: Path) -> None:
    authority = await Authority.load(tmp_path)
    one, two = await authority.identify("m-1"), await authority.identify("m-1")
    assert one.private_key != two.private_key
    certificate = asyncssh.import_certificate(one.certificate)
    certificate.validate(CERT_TYPE_HOST, hostname_of("m-1"))
    assert certificate.public_data != asyncssh.import_certificate(two.certificate).public_data


async def test_known_hosts_trust_only_our_authority_for_this_machine(tmp_path: Path) -> None:
    authority = await Authority.load(tmp_path)
    _, authorities, *_ = (await authority.known_hosts("m-1"))("", "/not/an/address", None)
    assert len(authorities) == 1
    line = await authority.known_hosts_line("m-1")
    assert line.startswith(f"@cert-authority {hostname_of('m-1')} ")
