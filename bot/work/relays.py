"""The way to the relays of all hosts: finds the one of a session's machine, and dials it."""

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.errors import NothingToDo, TryAgain
from bot.govern.visit_grants import VisitGrant, read_key, signed
from bot.store.database import Database
from bot.work.relay_words import line, read_line, refused, within
from bot.work.splice import BROKEN, BUFFER_BYTES_MAX

DIAL_SECONDS_MAX = 10.0
WAKE_SECONDS_MAX = 300.0
"""Until the relay says that the machine is open, or why not."""

_WHERE = text(
    """
    SELECT machine.host_id, relay.socket, relay.address, relay.fingerprint
      FROM machine LEFT JOIN relay ON relay.host_id = machine.host_id
     WHERE machine.session_id = :session AND machine.state NOT IN ('lost', 'removing', 'gone')
    """
)

Step = Callable[[str], Awaitable[None]]
Dialed = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def quietly(_step: str) -> None:
    """For whoever is not told what it waits for."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A connection into a machine."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    facts: Mapping[str, Any]

    def close(self) -> None:
        """Hang up. Idempotent."""
        with suppress(*BROKEN):
            self.writer.close()


class Relays:
    """Opens connections into machines, wherever they are."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._key: bytes | None = None

    async def open(
        self, grant: VisitGrant, *, step: Step = quietly, public_key: str | None = None
    ) -> Opened:
        """Open what the grant says; whoever calls has decided that it may be.

        :raises NothingToDo: the session has no machine
        :raises TryAgain: the machine's host can't be reached, or has no room
        :raises OnaError: as the relay says
        """
        if self._key is None:
            self._key = await read_key(self._database)
        reader, writer = await self._dial(grant.session_id)
        more = {} if public_key is None else {"public_key": public_key}
        try:
            writer.write(line(grant=signed(self._key, grant), **more))
            async with asyncio.timeout(WAKE_SECONDS_MAX):
                while (said := await read_line(reader)).get("step"):
                    await step(str(said["step"]))
            if not said.get("open"):
                raise refused(said)
        except (*BROKEN, TimeoutError) as error:
            writer.close()
            raise _silent() from error
        except BaseException:
            writer.close()
            raise
        return Opened(reader=reader, writer=writer, facts=said)

    async def _dial(self, session_id: UUID) -> Dialed:
        async with self._database.begin() as tx:
            row = (await tx.execute(_WHERE, {"session": session_id})).one_or_none()
        if row is None:
            raise NothingToDo(
                "the session has no machine now", do="send it a prompt: that brings one up"
            )
        try:
            async with asyncio.timeout(DIAL_SECONDS_MAX):
                if row.socket is not None and await asyncio.to_thread(
                    _is_here, Path(row.socket), row.host_id
                ):
                    with within(Path(row.socket)) as name:
                        return await asyncio.open_unix_connection(name, limit=BUFFER_BYTES_MAX)
                if row.address:
                    return await _dial_tls(row.address, row.fingerprint)
        except (OSError, TimeoutError) as error:
            raise _silent() from error
        raise TryAgain(
            "the host of this session's machine takes no visitors from here",
            do="start its `ona work`, or set visits.listen there: docs/ssh.md",
        )


def _is_here(path: Path, host_id: UUID) -> bool:
    """Whether that is the socket of this very host: others may have one of the same path."""
    try:
        return path.is_socket() and path.with_name("host-id").read_text().strip() == str(host_id)
    except OSError:
        return False


async def _dial_tls(address: str, fingerprint: str) -> Dialed:
    """Connect, and go on only with who has the certificate that the database knows."""
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(
        host.strip("[]"), int(port), ssl=context, limit=BUFFER_BYTES_MAX
    )
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
    if hashlib.sha256(shown).hexdigest() != fingerprint:
        writer.close()
        raise ConnectionError(f"{address} is not the relay that the database knows")
    return reader, writer


def _silent() -> TryAgain:
    return TryAgain(
        "the host of this session's machine does not answer",
        do="try again in a minute; `ona doctor` on that host says more",
    )
