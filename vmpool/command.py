"""One command over an SSH connection: words in, bytes through, an exit status out."""

import asyncio
import shlex
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import asyncssh

from vmpool.errors import MachineLost

CHUNK_BYTES = 64 * 1024
STDERR_BYTES_MAX = 64 * 1024
KILL_SECONDS = 1.0

Source = bytes | AsyncIterable[bytes] | None


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A command that ended by itself."""

    exit_status: int
    """As a shell says it: 128 + n when a signal ended it."""
    stdout: bytes
    """Empty when it went to a file."""
    stderr: bytes
    """The first 64 KiB of it."""
    stdout_bytes: int
    """How much it wrote, whether kept or not."""


class _Kept:
    """The first bytes of a stream, or all of them in a file, and how many there were."""

    def __init__(self, bytes_max: int, file: BinaryIO | None = None) -> None:
        self._bytes_max = bytes_max
        self._file = file
        self.data = bytearray()
        self.count = 0

    async def collect(self, reader: asyncssh.SSHReader[bytes]) -> None:
        while data := await _read(reader):
            self.count += len(data)
            if self._file is not None:
                self._file.write(data)
            elif len(self.data) < self._bytes_max:
                self.data += data[: self._bytes_max - len(self.data)]


async def execute(
    login: asyncssh.SSHClientConnection,
    argv: Sequence[str],
    *,
    stdin: Source,
    timeout_seconds: float,
    output_bytes_max: int,
    stdout: BinaryIO | None,
) -> Completed:
    """Run and wait. :raises MachineLost: the connection broke. :raises TimeoutError: killed."""
    process: asyncssh.SSHClientProcess[bytes] | None = None
    out, err = _Kept(output_bytes_max, stdout), _Kept(STDERR_BYTES_MAX)
    try:
        async with asyncio.timeout(timeout_seconds):
            process = await _begin(login, _line(argv, timeout_seconds))
            async with asyncio.TaskGroup() as group:
                group.create_task(_feed(process.stdin, stdin))
                group.create_task(out.collect(process.stdout))
                group.create_task(err.collect(process.stderr))
            await process.wait_closed()
    except TimeoutError:
        raise TimeoutError(f"{argv[0]} took longer than {timeout_seconds:g} s") from None
    except ExceptionGroup as group:
        # What the caller's source or file raised; the connection's own end is no exception here.
        raise group.exceptions[0] from None
    finally:
        if process is not None and process.returncode is None:
            # Closing a channel leaves the command running.
            with suppress(OSError, asyncssh.Error):
                process.kill()
            process.close()
    if process.returncode is None:
        raise MachineLost(f"The connection into the machine was lost during {argv[0]}.")
    status = process.returncode
    return Completed(
        exit_status=status if status >= 0 else 128 - status,
        stdout=bytes(out.data),
        stderr=bytes(err.data),
        stdout_bytes=out.count,
    )


async def _begin(
    login: asyncssh.SSHClientConnection, line: str
) -> asyncssh.SSHClientProcess[bytes]:
    try:
        return await login.create_process(line, encoding=None)
    except (OSError, asyncssh.Error) as error:
        raise MachineLost("The connection into the machine was lost.") from error


async def _read(reader: asyncssh.SSHReader[bytes]) -> bytes:
    try:
        return await reader.read(CHUNK_BYTES)
    except (OSError, asyncssh.Error):
        return b""


def _line(argv: Sequence[str], timeout_seconds: float) -> str:
    """The command with a time limit of its own: a lost connection or root can't be signalled."""
    limit = timeout_seconds + KILL_SECONDS
    return f"exec timeout -s KILL {limit:g} {shlex.join(argv)}"


async def _feed(writer: asyncssh.SSHWriter[bytes], source: Source) -> None:
    """All of the source, as long as the command reads; its exit status says if that was enough."""
    async for data in _parts(source):
        try:
            writer.write(data)
            await writer.drain()
        except (OSError, asyncssh.Error):
            return
    with suppress(OSError, asyncssh.Error):
        writer.write_eof()


async def _parts(source: Source) -> AsyncIterator[bytes]:
    if isinstance(source, bytes):
        for start in range(0, len(source), CHUNK_BYTES):
            yield source[start : start + CHUNK_BYTES]
    elif source is not None:
        async for data in source:
            yield data
