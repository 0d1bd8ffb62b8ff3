"""Run the programs that make an image, and say in a person's words why one could not."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from vmpool.errors import HostFull, HostUnfit

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The sbin directories too: a normal user's PATH often lacks them."""
OUTPUT_BYTES_MAX = 256 * 1024
LINE_BYTES_MAX = 64 * 1024
END_SECONDS_MAX = 15.0

_NO_ROOM = re.compile(
    r"No space left on device|Disk quota exceeded|Could not allocate block|enough free space"
)
_NO_NETWORK = re.compile(
    r"Could not resolve|Temporary failure resolving|(?:Could not|Unable to|Cannot) connect"
    r"|Connection (?:timed out|refused|reset|failed)|Network is unreachable|Failed to fetch"
    r"|Could not handshake"
)


class Failed(Exception):
    """A program ended with a failure that has no explanation of its own here."""


def demand_programs(packages: Mapping[str, str]) -> None:
    """Make sure that all are installed; `packages` says which package brings which program.

    :raises HostUnfit: the text names every missing program and how to install them
    """
    missing = {name: package for name, package in packages.items() if not find(name)}
    if missing:
        raise HostUnfit(
            f"{', '.join(sorted(missing))} is missing, which the guest image is made with; "
            f"install it: apt-get install {' '.join(sorted(set(missing.values())))}"
        )


def find(name: str) -> str | None:
    """Where a program is, or None."""
    return shutil.which(name, path=PATH)


async def run(
    argv: Sequence[str],
    *,
    held: int,
    on_line: Callable[[str], None] | None = None,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run to the end and return what it wrote on either output, the last 256 KiB of it.

    `held` is a file descriptor that its processes keep open: a lock on it outlives us until they
    have ended too. Cancelled: all its processes are ended first.

    :raises HostFull: it found no room
    :raises HostUnfit: the network or a right is missing
    :raises Failed: any other failure; the text has its last words
    """
    process = await _start(argv, held=held, environment=environment or {})
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(process, stdin))
            words = await _listen(process, on_line)
        status = await process.wait()
    finally:
        await _end(process)
    if status:
        raise _reason(argv[0], status, words)
    return words


async def _start(
    argv: Sequence[str], *, held: int, environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *(find(argv[0]) or argv[0], *argv[1:]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", **environment},
            start_new_session=True,
            umask=0o022,
            pass_fds=(held,),
            limit=LINE_BYTES_MAX,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # It runs before asyncio has wired it up; cancelled there, asyncio would end it alone and
        # leave its children.
        await _end(await starting)
        raise


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _listen(
    process: asyncio.subprocess.Process, on_line: Callable[[str], None] | None
) -> str:
    assert process.stdout is not None
    kept = bytearray()
    rest = b""
    while data := await process.stdout.read(LINE_BYTES_MAX):
        kept += data
        del kept[:-OUTPUT_BYTES_MAX]
        if on_line is None:
            continue
        *lines, rest = re.split(rb"[\r\n]+", (rest + data)[-LINE_BYTES_MAX:])
        for line in lines:
            on_line(line.decode(errors="replace"))
    return kept.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask it to tidy up after itself, then insist; the whole group, at once when it is done."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS_MAX):
                    await process.wait()


def _reason(name: str, status: int, words: str) -> Exception:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    for line in lines:
        if _NO_ROOM.search(line):
            return HostFull(f"no room on the disk for the guest image ({name}: {line[:200]})")
    for line in lines:
        if _NO_NETWORK.search(line):
            return HostUnfit(
                f"the package archive can't be reached ({line[:200]}); check the network, the "
                "proxy and /etc/apt, then start again"
            )
    last = "; ".join(lines[-5:])[-600:]
    return Failed(f"{name} ended with status {status}: {last}")


def remove_tree(path: Path) -> None:
    """Remove a directory of ours, also where a package left a directory nobody may write to."""

    def unlock(function: Callable[[str], object], name: str, _: object) -> None:
        with suppress(OSError):
            os.chmod(os.path.dirname(name), 0o700)
            function(name)

    shutil.rmtree(path, onerror=unlock)


def sync_files(directory: Path) -> None:
    """Let the files of a directory survive a power cut, before it gets its name."""
    for path in (*directory.iterdir(), directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
