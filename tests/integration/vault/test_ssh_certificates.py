"""SSH certificates of turns at a real sshd: nothing revokes them, so time and a name bound them."""

import asyncio
import getpass
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from adapters.vault import engines, errors
from adapters.vault.engines import SshCertificates
from adapters.vault.port import Bearer, Issued
from tests.integration.vault.conftest import Place, bearer, signs_ssh, soon, ssh_role

SSHD = "/usr/sbin/sshd"
ROLE = "shop-deploy"
CLOCK_SECONDS = 5
"""By which Vault may have rounded, or taken its time."""


@dataclass(frozen=True)
class Target:
    """A host that trusts the authority of the `ssh` engine, and lets one session in."""

    configuration: Path

    async def lets_in(self, issued: Issued) -> tuple[bool, str]:
        """Whether somebody gets in with a certificate, and what sshd says of it."""
        ours, theirs = socket.socketpair()
        with theirs:
            sshd = await asyncio.create_subprocess_exec(
                *(SSHD, "-i", "-e", "-f", str(self.configuration)),
                stdin=theirs,
                stdout=theirs,
                stderr=asyncio.subprocess.PIPE,
            )
        private = asyncssh.import_private_key(issued.values["private_key"].get_secret_value())
        try:
            async with asyncssh.connect(
                "target",
                sock=ours,
                username=getpass.getuser(),
                client_keys=[(private, certificate(issued))],
                known_hosts=None,
                config=None,
            ):
                is_in = True
        except asyncssh.PermissionDenied:
            is_in = False
        _, said = await sshd.communicate()
        return is_in, said.decode()


def certificate(issued: Issued) -> asyncssh.SSHCertificate:
    return asyncssh.import_certificate(issued.values["certificate"].get_secret_value())


@pytest.fixture
def session(place: Place) -> Bearer:
    signs_ssh(place, ROLE)
    return bearer()


@pytest.fixture
def target(place: Place, session: Bearer, tmp_path: Path) -> Target:
    authority = place.root.read("ssh/config/ca")["data"]["public_key"]
    (tmp_path / "authority").write_text(authority)
    (tmp_path / "principals").write_text(f"sess-{session.session}\n")
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / "host")
    (tmp_path / "host").chmod(0o600)
    settings = (
        f"HostKey {tmp_path}/host",
        f"TrustedUserCAKeys {tmp_path}/authority",
        f"AuthorizedPrincipalsFile {tmp_path}/principals",
        "AuthorizedKeysFile none",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "StrictModes no",
        "LogLevel VERBOSE",
    )
    (tmp_path / "sshd_config").write_text("\n".join(settings) + "\n")
    return Target(tmp_path / "sshd_config")


async def issue(place: Place, whose: Bearer, **options: object) -> Issued:
    request = await place.request("ssh", whose, role=ROLE, **options)
    return await SshCertificates(place.vault, "ssh").issue(request, soon())


async def test_a_certificate_opens_a_host_for_its_session_and_no_other(
    place: Place, session: Bearer, target: Target
):
    issued = await issue(place, session)
    assert certificate(issued).principals == [f"sess-{session.session}"]
    assert certificate(issued)._valid_before <= time.time() + 600 + CLOCK_SECONDS
    is_in, said = await target.lets_in(issued)
    assert is_in, said
    is_in, said = await target.lets_in(await issue(place, bearer()))
    assert not is_in
    assert "does not contain an authorized principal" in said


async def test_a_certificate_is_refused_after_its_end(
    place: Place, session: Bearer, target: Target, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engines, "CERTIFICATE_SECONDS", 1)
    issued = await issue(place, session)
    while time.time() <= certificate(issued)._valid_before:
        await asyncio.sleep(0.1)
    is_in, said = await target.lets_in(issued)
    assert not is_in
    assert "Certificate invalid: expired" in said


async def test_no_certificate_is_for_several_principals(place: Place, session: Bearer):
    ssh_role(place, ROLE, "host")
    named = "a.shop.example,b.shop.example"
    with pytest.raises(errors.Misasked, match="one principal"):
        await issue(place, session, principals=named, type="host")
