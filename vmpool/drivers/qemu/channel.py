"""The one byte stream into a machine: a socket that QEMU serves to one client at a time."""

import asyncio
import socket

from vmpool.drivers.home import Home
from vmpool.drivers.qemu.qmp import Qmp
from vmpool.errors import MachineBusy, MachineLost

CHANNEL_SOCKET = "channel.sock"
FREE_SECONDS_MAX = 2.0
"""How long QEMU may take to notice that the client of before has gone."""
POLL_SECONDS = 0.01


async def open_channel(home: Home, qmp: Qmp) -> socket.socket:
    """Connect, and make sure that it is us whom QEMU serves: a second client would just hang.

    :raises MachineBusy: somebody else has the stream
    :raises MachineLost: nobody listens
    """
    await _until(qmp, taken=False)
    try:
        sock = home.connect(CHANNEL_SOCKET)
    except BlockingIOError as error:
        raise MachineBusy("the machine's channel is taken") from error
    except OSError as error:
        raise MachineLost(f"the machine's channel is gone: {error.strerror}") from error
    try:
        await _until(qmp, taken=True)
    except BaseException:
        sock.close()
        raise
    return sock


async def _until(qmp: Qmp, *, taken: bool) -> None:
    try:
        async with asyncio.timeout(FREE_SECONDS_MAX):
            while True:
                if await _is_taken(qmp) is taken:
                    return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise MachineBusy("the machine's channel is taken") from error


async def _is_taken(qmp: Qmp) -> bool:
    devices = await qmp.execute("query-chardev")
    filename = next(str(each["filename"]) for each in devices if each["label"] == "ona")
    return not filename.startswith("disconnected:")
