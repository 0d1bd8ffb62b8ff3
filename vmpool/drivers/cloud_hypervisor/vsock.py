"""The byte stream into a guest: hybrid vsock, a unix socket that asks for a port by name.

A paused guest, and one whose driver is not up yet, answers nothing for seconds: every attempt is
short and given up. A guest that serves somebody else has no listener, and is closed without words.
"""

import asyncio
import socket

from vmpool.drivers.cloud_hypervisor.config import CHANNEL_PORT, VSOCK
from vmpool.drivers.home import Home
from vmpool.errors import MachineBusy, MachineLost

ATTEMPT_SECONDS_MAX = 0.5
FREE_SECONDS_MAX = 2.0
"""How long a guest may take to notice that the client of before has gone."""
POLL_SECONDS = 0.02
LINE_BYTES_MAX = 32


async def open_channel(home: Home) -> socket.socket:
    """Connect to the guest program's port; non-blocking socket, the caller closes it.

    :raises MachineBusy: it is taken, the guest is paused or not up yet
    :raises MachineLost: nobody listens
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + FREE_SECONDS_MAX
    while True:
        sock = await _attempt(home)
        if sock is not None:
            return sock
        if loop.time() >= until:
            raise MachineBusy("the machine's channel is taken, or its guest is not up")
        await asyncio.sleep(POLL_SECONDS)


async def _attempt(home: Home) -> socket.socket | None:
    try:
        sock = home.connect(VSOCK)
    except BlockingIOError:
        return None
    except OSError as error:
        raise MachineLost(f"the machine's channel is gone: {error.strerror}") from error
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS_MAX):
            if await _accepted(sock):
                return sock
    except (TimeoutError, OSError):
        pass
    except BaseException:
        sock.close()
        raise
    sock.close()
    return None


async def _accepted(sock: socket.socket) -> bool:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, f"CONNECT {CHANNEL_PORT}\n".encode())
    line = b""
    # Byte by byte: what comes after the line is the guest's.
    while not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
        byte = await loop.sock_recv(sock, 1)
        if not byte:
            return False
        line += byte
    return line.startswith(b"OK ")
