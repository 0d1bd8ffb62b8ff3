"""What a process that Landlock restricts is refused besides files: TCP, sockets, signals."""

import os
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmpool.drivers import landlock
from vmpool.drivers.isolation import Isolation
from vmpool.drivers.process import ended

REFUSED = "PermissionError"
TRYING = """
import os, signal, socket, sys
words = sys.argv[1:]
try:
    match words:
        case ["connect", port]:
            socket.create_connection(("127.0.0.1", int(port)), timeout=10)
        case ["listen"]:
            socket.create_server(("127.0.0.1", 0))
        case ["abstract", name]:
            socket.socket(socket.AF_UNIX).connect(chr(0) + name)
        case ["signal", pid]:
            os.kill(int(pid), 0)
        case ["truncate", path]:
            os.truncate(path, 0)
    print("done")
except OSError as error:
    print(type(error).__name__)
"""


def since(version: int) -> pytest.MarkDecorator:
    known = landlock.version()
    return pytest.mark.skipif(
        known < version, reason=f"!!! NOT TESTED: this kernel's Landlock is {known} of {version}"
    )


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


async def tried(tmp_path: Path, *words: str, restricted: bool) -> str:
    """What the kernel says to a process that was started as a machine's is, or to a free one."""
    log = tmp_path / "log"
    isolation = Isolation(has_landlock=restricted)
    process = isolation.start(
        [str(Path(sys.executable).resolve()), "-I", "-S", "-c", TRYING, *words],
        await isolation.seat("launch"),
        rights={Path(sys.base_prefix): landlock.RUN, tmp_path: landlock.READ},
        mark=f"/{secrets.token_hex(8)}/launch",
        output=log,
        errors=log,
        fds=[],
    )
    await ended(process)
    said = log.read_text().strip()
    log.unlink()
    return said


async def only_the_free_one(tmp_path: Path, *words: str) -> None:
    """Restricted, a process is refused what another one may."""
    assert await tried(tmp_path, *words, restricted=False) == "done"
    assert await tried(tmp_path, *words, restricted=True) == REFUSED


@since(4)
async def test_no_tcp_connection_is_made_or_taken(tmp_path: Path, listener: socket.socket) -> None:
    await only_the_free_one(tmp_path, "connect", str(listener.getsockname()[1]))
    await only_the_free_one(tmp_path, "listen")


@since(6)
async def test_no_abstract_socket_and_no_process_of_anybody_else_is_reached(tmp_path: Path) -> None:
    name = f"ona-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"\0{name}")
        sock.listen()
        await only_the_free_one(tmp_path, "abstract", name)
    await only_the_free_one(tmp_path, "signal", str(os.getpid()))


@since(3)
async def test_what_may_only_be_read_is_not_cut(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("whole")
    assert await tried(tmp_path, "truncate", str(kept), restricted=True) == REFUSED
    assert kept.read_text() == "whole"
    assert await tried(tmp_path, "truncate", str(kept), restricted=False) == "done"
