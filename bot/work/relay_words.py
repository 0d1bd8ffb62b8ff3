"""What the relay of a host and who connects to it say to each other before bytes flow.

→ {"grant": …, "public_key"?: …}            one line of JSON
← {"step": "resuming"}                      any number, while the machine wakes
← {"open": true, …}                         then bytes, both ways
← {"error": …, "kept": …, "do": …, "code": …}   and it is closed
"""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.errors import NotFound, NothingToDo, OnaError, TryAgain, Unfit, for_person
from vmpool.errors import HostFull, HostUnfit, MachineError, NoRoom, PortClosed
from vmpool.visits import NoMachine

LINE_BYTES_MAX = 16 * 1024


async def read_line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The other side's next line. :raises ConnectionError: it is gone or speaks something else"""
    try:
        line = await reader.readuntil(b"\n")
        said = json.loads(line) if len(line) <= LINE_BYTES_MAX else None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise ConnectionError("the other side said nothing that can be read") from error
    if not isinstance(said, dict):
        raise ConnectionError("the other side said something else")
    return said


def line(**words: Any) -> bytes:
    """A line to say."""
    return json.dumps(words).encode() + b"\n"


def refusal(error: OnaError) -> bytes:
    """The line that says why not."""
    words = {"error": error.happened, "kept": error.kept, "do": error.do}
    return line(**words, code=error.code)


def refused(said: dict[str, Any]) -> OnaError:
    """The error that such a line says."""
    happened, kept, do = (str(said.get(name, "")) for name in ("error", "kept", "do"))
    match said.get("code"):
        case "try_again":
            return TryAgain(happened, kept=kept, do=do)
        case "unfit":
            return Unfit(happened, kept=kept, do=do)
        case "failed":
            return OnaError(happened, kept=kept, do=do)
    return for_person(str(said.get("code")), happened, kept=kept, do=do)


def of_machine(error: MachineError) -> OnaError:
    """What a visitor is told of a machine's error."""
    happened = str(error).rstrip(".")
    if isinstance(error, NoMachine):
        return NothingToDo(
            "the session has no machine now", do="send it a prompt: that brings one up"
        )
    if isinstance(error, PortClosed):
        return NotFound(happened, do="start the program there, then try again")
    if isinstance(error, NoRoom):
        return TryAgain(happened, do="try again in a minute")
    if isinstance(error, HostFull | HostUnfit):
        return Unfit(happened, do="an operator sees more in `ona doctor`")
    return OnaError(
        f"the machine can't be reached: {happened}",
        kept="its session's last checkpoint stays",
        do="try again, or send the session a prompt",
    )


@contextmanager
def within(path: Path) -> Iterator[str]:
    """A name for a socket that is short enough, however deep its directory lies."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listening_socket(path: Path) -> socket.socket:
    """A Unix socket at `path`, for this user alone, in place of one that was left there."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    try:
        before = os.umask(0o177)
        try:
            with within(path) as name:
                sock.bind(name)
        finally:
            os.umask(before)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
