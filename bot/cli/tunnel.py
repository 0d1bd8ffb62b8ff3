"""The client's end of a tunnel: standard input and output into a session's machine.

`ssh` runs this as its ProxyCommand, so nothing but the machine's bytes goes to standard output.
"""

import asyncio
import os
import select
import sys
from typing import TYPE_CHECKING

import aiohttp

from bot.cli import show
from bot.errors import NotPermitted, OnaError, TryAgain, for_person

if TYPE_CHECKING:
    from bot.cli.client import Client

CHUNK_BYTES_MAX = 64 * 1024
STEPS = {"resuming": "The machine wakes …"}
"""What is said of a step on the way into the machine."""
HEARTBEAT_SECONDS = 20.0
"""Between two signs of life, so that no proxy on the way takes it for dead."""
_STDIN, _STDOUT = 0, 1


def carry(client: "Client", short: str, port: int) -> None:
    """Until either side ends. :raises OnaError: it can't be opened, or was ended, and why"""
    try:
        asyncio.run(_carry(client, short, port))
    except aiohttp.WSServerHandshakeError as error:
        raise _refused(error.status) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise TryAgain(f"the tunnel to {client.url} broke: {error}", do="try again") from error


async def _carry(client: "Client", short: str, port: int) -> None:
    url = f"{client.url}/api/v1/sessions/{short}/tunnel"
    wanted = {"port": str(port)} if port else {}
    async with (
        aiohttp.ClientSession(trust_env=True, headers=client.headers) as session,
        session.ws_connect(url, params=wanted, heartbeat=HEARTBEAT_SECONDS) as socket,
    ):
        up = asyncio.ensure_future(_up(socket))
        down = asyncio.ensure_future(_down(socket))
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        for task in (up, down):
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _up(socket: aiohttp.ClientWebSocketResponse) -> None:
    reader = asyncio.StreamReader(limit=CHUNK_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while data := await reader.read(CHUNK_BYTES_MAX):
        await socket.send_bytes(data)


async def _down(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            await asyncio.to_thread(_write, message.data)
        elif message.type is aiohttp.WSMsgType.TEXT:
            _told(message.json())


def _told(said: dict[str, object]) -> None:
    step = STEPS.get(str(said.get("step", "")))
    if step is not None:
        show.status(step)
    if "error" in said:
        words = [str(said.get(key, "")) for key in ("error", "kept", "do")]
        raise for_person(str(said.get("code")), words[0], kept=words[1], do=words[2])


def _write(data: bytes) -> None:
    """All of it: what reads may share a descriptor with standard input, which waits for nobody."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(_STDOUT, left) :]
        except BlockingIOError:
            select.select([], [_STDOUT], [])


def _refused(status: int) -> OnaError:
    if status in {401, 403}:
        return NotPermitted(f"the tunnel was refused ({status})", do="ask for the rights you need")
    return TryAgain(f"the tunnel was answered {status}", do="see that a proxy lets WebSockets pass")
