"""One command over an SSH connection: words in, bytes through, an exit status out."""

import asyncio
import shlex
from collections.abc import AsyncIterable, Sequence
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
        while data := await reader.read(CHUNK_BYTES):
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
            process = await login.create_process(_line(argv, timeout_seconds), encoding=None)
            async with asyncio.TaskGroup() as group:
                group.create_task(_feed(process.stdin, stdin))
                group.create_task(out.collect(process.stdout))
                group.create_task(err.collect(process.stderr))
            await process.wait_closed()
    except TimeoutError:
        raise TimeoutError(f"{argv[0]} took longer than {timeout_seconds:g} s") from None
    except (OSError, asyncssh.Error) as error:
        raise MachineLost("The connection into the machine was lost.") from error
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


def _line(argv: Sequence[str], timeout_seconds: float) -> str:
    """The command with a time limit of its own: a lost connection or root can't be signalled."""
    limit = timeout_seconds + KILL_SECONDS
    return f"exec timeout -s KILL {limit:g} {shlex.join(argv)}"


async def _feed(writer: asyncssh.SSHWriter[bytes], source: Source) -> None:
    try:
        if isinstance(source, bytes):
            for start in range(0, len(source), CHUNK_BYTES):
                writer.write(source[start : start + CHUNK_BYTES])
                await writer.drain()
        elif source is not None:
            async for data in source:
                writer.write(data)
                await writer.drain()
        writer.write_eof()
    except (BrokenPipeError, ConnectionError):
        # The command closed its input; its exit status says whether that was right.
        pass
