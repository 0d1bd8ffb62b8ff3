"""The relay of a host: the one way from other processes into its machines, for people's visits.

    person ─▶ `ona serve`: rights, audit, a grant ─▶ relay: grant, limits ─▶ the machine's channel

It listens on a Unix socket in the host's directory, which only its user can open, and where the
settings say so on TCP with TLS, whose certificate `ona serve` knows from the database. No turn runs
for a visit, so the gateway adds no credential to what the machine sends because of it.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncssh
import structlog

from bot.errors import OnaError, Refused, TryAgain
from bot.govern.visit_grants import Verifier, VisitGrant
from bot.work.relay_words import line, listening_socket, of_machine, read_line, refusal
from bot.work.splice import BROKEN, BUFFER_BYTES_MAX, Ends, splice
from vmpool.channel import Stream
from vmpool.errors import MachineError
from vmpool.registry import Registry
from vmpool.ssh import AGENT, LOGIN_SECONDS, Authority, hostname_of
from vmpool.visits import NoMachine, Visit, Visits

log = structlog.get_logger(__name__)

HELLO_SECONDS_MAX = 10.0
"""For the first line of who connects."""
PUBLIC_KEY_CHARACTERS_MAX = 2048


@dataclass(frozen=True, kw_only=True)
class RelayLimits:
    """What bounds visits on a host."""

    connections_max: int
    session_connections_max: int
    idle_seconds: float
    """Without a byte either way, after which a connection is ended."""


class Relay:
    """Lets visitors into the machines of this host."""

    def __init__(
        self,
        visits: Visits,
        registry: Registry,
        authority: Authority,
        verifier: Verifier,
        limits: RelayLimits,
        *,
        user: str = AGENT,
    ) -> None:
        """`user` is whom people are in a machine that is not of our image."""
        self._user = user
        self._visits = visits
        self._registry = registry
        self._authority = authority
        self._verifier = verifier
        self._limits = limits
        self._open: set[asyncio.Task[None]] = set()
        self._of_session: Counter[UUID] = Counter()

    @asynccontextmanager
    async def listen(
        self,
        path: Path,
        *,
        address: tuple[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator[int]:
        """Take visitors while inside; then every one is hung up on.

        Yields the port of `address`; 0: there is none. :raises OSError: it can't listen there
        """
        more: dict[str, Any] = {"limit": BUFFER_BYTES_MAX}
        servers = [
            await asyncio.start_unix_server(self._accept, sock=listening_socket(path), **more)
        ]
        port = 0
        try:
            if address is not None:
                found = await asyncio.start_server(self._accept, *address, ssl=tls, **more)
                servers.append(found)
                port = found.sockets[0].getsockname()[1]
            yield port
        finally:
            for server in servers:
                server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except BROKEN as error:
            log.debug("visitor_left", why=str(error))
        except asyncio.CancelledError:
            # This process ends; asyncio's own callback would call it an error.
            log.debug("visitor_sent_away")
        finally:
            self._open.discard(task)
            with suppress(*BROKEN):
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HELLO_SECONDS_MAX):
                said = await read_line(reader)
            if len(self._open) > self._limits.connections_max:
                raise _too_many(self._limits.connections_max, "this host")
            grant = self._verifier.redeem(str(said.get("grant", "")))
            if grant.kind == "certificate":
                writer.write(await self._certify(grant, str(said.get("public_key", ""))))
                await writer.drain()
            else:
                await self._visit(grant, (reader, writer))
        except MachineError as error:
            await _say(writer, refusal(of_machine(error)))
        except OnaError as error:
            await _say(writer, refusal(error))

    async def _certify(self, grant: VisitGrant, public_key: str) -> bytes:
        """Let a person's key into the session's machine for minutes. Nothing is woken."""
        machine = await self._registry.of_session(grant.session_id)
        if machine is None:
            raise NoMachine("The session has no machine now.")
        key = _key(public_key)
        machine_id = str(machine.id)
        certificate = await self._authority.sign_login(key, machine_id, AGENT)
        return line(
            open=True,
            machine=machine_id,
            host_name=hostname_of(machine_id),
            user=self._user,
            certificate=certificate.export_certificate().decode().strip(),
            known_hosts=(await self._authority.known_hosts_line(machine_id)).strip(),
            seconds=LOGIN_SECONDS,
        )

    async def _visit(
        self, grant: VisitGrant, ours: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        writer = ours[1]

        async def step(name: str) -> None:
            await _say(writer, line(step=name))

        with _Place(self._of_session, grant.session_id, self._limits.session_connections_max):
            async with self._visits.enter(grant.session_id, step) as visit:
                theirs = await _opened(visit, grant)
                await _say(writer, line(open=True))
                log.info("visit_began", kind=grant.kind, machine=str(visit.machine_id))
                carried = await splice(ours, theirs, idle_seconds=self._limits.idle_seconds)
                log.info("visit_ended", machine=str(visit.machine_id), **vars(carried))


class _Place:
    """One of the connections that a session may have."""

    def __init__(self, count: Counter[UUID], session_id: UUID, count_max: int) -> None:
        self._count = count
        self._session_id = session_id
        self._count_max = count_max

    def __enter__(self) -> None:
        if self._count[self._session_id] >= self._count_max:
            raise _too_many(self._count_max, "one session")
        self._count[self._session_id] += 1

    def __exit__(self, *_: object) -> None:
        self._count[self._session_id] -= 1
        if not self._count[self._session_id]:
            del self._count[self._session_id]


async def _opened(visit: Visit, grant: VisitGrant) -> Ends:
    found: Stream
    if grant.kind == "ssh":
        found = await visit.channel.open_ssh()
    else:
        found = await visit.channel.open_port(grant.port)
    return found


async def _say(writer: asyncio.StreamWriter, words: bytes) -> None:
    writer.write(words)
    await writer.drain()


def _too_many(count_max: int, of: str) -> TryAgain:
    return TryAgain(
        f"{count_max} connections into machines are open, which is all that {of} may have",
        do="close some, or try again later",
    )


def _key(public_key: str) -> asyncssh.SSHKey:
    if len(public_key) <= PUBLIC_KEY_CHARACTERS_MAX:
        with suppress(asyncssh.KeyImportError, ValueError):
            return asyncssh.import_public_key(public_key)
    raise Refused("that is no OpenSSH public key", do="send one line, as in `id_ed25519.pub`")
