"""SSH logins into a machine: over its one stream, and nested in the login that holds it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import asyncssh
from asyncssh.public_key import KeyPairListArg

from vmpool.errors import MachineLost
from vmpool.ssh import Authority, hostname_of

LOGIN_SECONDS_MAX = 60.0
KEEPALIVE_SECONDS = 5
KEEPALIVE_COUNT = 3
CLOSE_SECONDS_MAX = 2.0

# asyncssh says each connection and channel at INFO; the caller's log is for turns.
logging.getLogger("asyncssh").setLevel(logging.WARNING)


@dataclass(frozen=True, kw_only=True)
class Inside:
    """Where the guest program serves what, and as whom one logs in."""

    job_server: str = "/run/ona/guest.sock"
    ssh_server: str = "/run/ona/ssh.sock"
    users: Mapping[str, str] = field(default_factory=dict)
    """For guests that are not our image: other names for `ona` and `agent`."""


OUR_IMAGE = Inside()


class Nested:
    """The tunnel that asyncssh asks for a connection, which is a socket in the machine."""

    def __init__(self, nest: Callable[[Any, str], Awaitable[Any]], path: str) -> None:
        self._nest = nest
        self._path = path

    async def create_connection(self, factory: Any, _host: str, _port: int) -> Any:
        """Called by asyncssh."""
        return await self._nest(factory, self._path)


class _Client(asyncssh.SSHClient):
    """Tells when its connection has ended."""

    def __init__(self, lost: asyncio.Event | None) -> None:
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost is not None:
            self._lost.set()


async def log_in(
    machine_id: str,
    user: str,
    authority: Authority,
    *,
    name: str,
    keys: KeyPairListArg | None = None,
    lost: asyncio.Event | None = None,
    **way: Any,
) -> asyncssh.SSHClientConnection:
    """Log in to a machine over a socket (`sock`) or a tunnel (`tunnel`).

    :param keys: with certificates that are there already; none: they are signed now
    :raises NoSignature: nobody signs now
    :raises MachineLost: it failed
    """
    keys = keys or await authority.login(machine_id, user)
    known_hosts = await authority.known_hosts(machine_id)
    try:
        async with asyncio.timeout(LOGIN_SECONDS_MAX):
            return await asyncssh.connect(
                host=hostname_of(machine_id),
                username=name,
                client_factory=lambda: _Client(lost),
                client_keys=keys,
                known_hosts=known_hosts,
                config=None,
                agent_path=None,
                # What a guest packs may be a thousand times as much, before anything bounds it.
                compression_algs=["none"],
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVE_COUNT,
                **way,
            )
    except TimeoutError:
        raise MachineLost(f"The machine's login took longer than {LOGIN_SECONDS_MAX} s.") from None
    except (OSError, asyncssh.Error) as error:
        raise MachineLost(f"The machine's login failed: {error}.") from error


async def end(login: asyncssh.SSHClientConnection) -> None:
    """Hang up, politely for a moment. Idempotent."""
    login.close()
    with suppress(TimeoutError, OSError, asyncssh.Error):
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await login.wait_closed()
    login.abort()
