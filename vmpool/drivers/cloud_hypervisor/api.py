"""The REST API of one Cloud Hypervisor process, over its unix socket.

Every request has a connection of its own: the process serves ten at most, one request at a time,
and keeps the others waiting, so a request's time budget counts from the moment it is sent. Action
verbs must carry no body. An error's body is a JSON array of strings, the outermost cause first.
"""

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import h11

from vmpool.drivers.hypervisor import ControlClosed, ControlRefused

BASE = "/api/v1"
CHAIN_CHARACTERS_MAX = 400
"""Of one cause in an error's chain."""
ANSWER_BYTES_MAX = 8 * 1024 * 1024
PING_SECONDS_MAX = 10.0
"""A snapshot or restore that is under way keeps a ping waiting."""
ACT_SECONDS_MAX = 30.0
"""For create, boot, pause, resume: tens of milliseconds, a second on a slow machine."""

Json = dict[str, Any]


class ApiError(ControlRefused):
    """The process refused a request; the text is its own error chain."""

    def __init__(self, verb: str, status: int, chain: list[str]) -> None:
        super().__init__(f"Cloud Hypervisor refused {verb}: {': '.join(chain) or status}")
        self.status = status
        self.chain = chain


@dataclass(frozen=True, kw_only=True)
class Build:
    """What a process says it is."""

    build: str
    """Exact build, as in `v53.0` or `v53.0-246-gae44c2971`."""


class Api:
    """Requests to one process; `connect` makes a connected non-blocking socket."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect

    async def ping(self, *, seconds_max: float = PING_SECONDS_MAX) -> Build:
        """Ask who is there."""
        found = await self._ask("GET", "vmm.ping", seconds_max=seconds_max)
        return Build(build=str(found.get("build_version")))

    async def state(self, *, seconds_max: float = ACT_SECONDS_MAX) -> str | None:
        """`Created`, `Running`, `Paused`, `Shutdown`, …; None while there is no machine."""
        try:
            return str((await self._ask("GET", "vm.info", seconds_max=seconds_max)).get("state"))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def create(self, config: Json) -> None:
        """Define the machine; nothing runs. Unknown keys are ignored without a word."""
        await self._ask("PUT", "vm.create", config)

    async def boot(self) -> None:
        """Start the defined machine."""
        await self._ask("PUT", "vm.boot")

    async def pause(self) -> None:
        """Stop the virtual CPUs; paused already is refused."""
        await self._ask("PUT", "vm.pause")

    async def resume(self) -> None:
        """Let the virtual CPUs go on; running already is refused."""
        await self._ask("PUT", "vm.resume")

    async def snapshot(self, into: Path, *, seconds_max: float) -> None:
        """Write the paused machine below an empty directory. :raises TimeoutError:"""
        body = {"destination_url": f"file://{into}"}
        async with asyncio.timeout(seconds_max):
            await self._send("PUT", "vm.snapshot", body)

    async def restore(self, source: Path, *, seconds_max: float) -> None:
        """Make a paused machine of a snapshot's directory. :raises TimeoutError:"""
        body = {"source_url": f"file://{source}"}
        async with asyncio.timeout(seconds_max):
            await self._send("PUT", "vm.restore", body)

    async def _ask(
        self,
        method: str,
        verb: str,
        body: Json | None = None,
        *,
        seconds_max: float = ACT_SECONDS_MAX,
    ) -> Json:
        """Send what takes no time; that it does is a process that hangs."""
        try:
            async with asyncio.timeout(seconds_max):
                return await self._send(method, verb, body)
        except TimeoutError as error:
            why = f"Cloud Hypervisor did not answer {verb} within {seconds_max:g} s"
            raise ControlClosed(why) from error

    async def _send(self, method: str, verb: str, body: Json | None = None) -> Json:
        try:
            status, answer = await self._exchange(method, verb, body)
        except (OSError, EOFError, h11.RemoteProtocolError) as error:
            raise ControlClosed(f"{verb} was not answered ({type(error).__name__})") from error
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise ApiError(verb, status, _chain(answer))
        return _object(verb, answer)

    async def _exchange(self, method: str, verb: str, body: Json | None) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_unix_connection(sock=self._connect())
        try:
            wire = h11.Connection(h11.CLIENT)
            writer.write(_request(wire, method, verb, body))
            return await _answer(wire, reader)
        finally:
            writer.close()


def _request(wire: h11.Connection, method: str, verb: str, body: Json | None) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    headers = [("Host", "localhost"), ("Accept", "application/json")]
    if data:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    parts = [wire.send(h11.Request(method=method, target=f"{BASE}/{verb}", headers=headers))]
    if data:
        parts.append(wire.send(h11.Data(data=data)))
    parts.append(wire.send(h11.EndOfMessage()))
    return b"".join(part for part in parts if part)


async def _answer(wire: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, body = 0, b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
            if len(body) > ANSWER_BYTES_MAX:
                raise h11.RemoteProtocolError("the answer is longer than ANSWER_BYTES_MAX")
        elif isinstance(event, h11.EndOfMessage):
            return status, body
        else:
            raise EOFError(f"the connection ended ({type(event).__name__})")


def _object(verb: str, answer: bytes) -> Json:
    """What a process answered; whoever answers something else is none that we know."""
    try:
        found = json.loads(answer) if answer else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ControlClosed(f"{verb} was answered by something else than an object")
    return found


def _chain(answer: bytes) -> list[str]:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        found = None
    # Too many connections is said by an object, everything else by an array.
    if isinstance(found, dict):
        found = list(found.values())
    if not isinstance(found, list):
        return [answer.decode(errors="replace")[:CHAIN_CHARACTERS_MAX]]
    return [str(part)[:CHAIN_CHARACTERS_MAX] for part in found if part != "Error from API"]
