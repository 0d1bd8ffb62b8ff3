"""Logins into machines whose sshd is not what we put there."""

import asyncio
import socket
from pathlib import Path

import asyncssh
import pytest

from vmpool.errors import MachineLost
from vmpool.login import end, log_in
from vmpool.ssh import CONTROL, Authority, principal_of

MACHINE = "m-1"


async def logs_in(authority: Authority, compression: str) -> None:
    """Log in to a server with the machine's identity that packs like this and not otherwise."""
    ours, theirs = socket.socketpair()
    host = await authority.identify(MACHINE)
    trusted = f'cert-authority,principals="{principal_of(MACHINE, CONTROL)}"'
    serving = asyncio.ensure_future(
        asyncssh.run_server(
            theirs,
            server_host_keys=[
                (
                    asyncssh.import_private_key(host.private_key),
                    asyncssh.import_certificate(host.certificate),
                )
            ],
            authorized_client_keys=asyncssh.import_authorized_keys(
                f"{trusted} {await authority.user_ca()}\n"
            ),
            compression_algs=[compression],
        )
    )
    try:
        await end(await log_in(MACHINE, CONTROL, authority, name="ona", sock=ours))
    finally:
        for sock in (ours, theirs):
            sock.close()
        await asyncio.wait([serving])
        serving.exception()


async def test_a_machine_that_packs_what_it_sends_is_not_entered(tmp_path: Path) -> None:
    """A packet of it may be a thousand times as much here, and is unpacked before it is bounded."""
    authority = await Authority.load(tmp_path)
    await logs_in(authority, "none")
    for compression in ("zlib@openssh.com", "zlib"):
        with pytest.raises(MachineLost, match="compression"):
            await logs_in(authority, compression)
