"""What the repository and the checkpoint need of a machine: to run a short command in it."""

import asyncio
import json
import os
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import Any, Protocol, Self

from bot.words.catalogue import gettext as _
from vmpool.command import Completed, Source
from vmpool.guest.worktree import program

ANSWER_BYTES_MAX = 256 * 1024
CHUNK_BYTES = 256 * 1024
PYTHON = ("/usr/bin/python3", "-I", "-S", "-c")


class Machine(Protocol):
    """A machine, as its channel shows it."""

    async def run(
        self,
        argv: list[str],
        *,
        stdin: Source = None,
        timeout_seconds: float,
        output_bytes_max: int = ...,
        stdout: Any = None,
    ) -> Completed:
        """Run a command as the machine's agent, in its home directory, and wait for it.

        `stdout`, if given, has a `write` that takes all of the output.

        :raises TimeoutError: it took longer and was killed
        :raises vmpool.errors.MachineLost: the connection broke
        """
        ...


class ScriptFailed(Exception):
    """A script of ours did not come to an answer; the text is what it said last."""


class Spool:
    """Output of a machine: an answer in one line, then a payload; never more than its bound."""

    def __init__(self, *, memory_bytes_max: int, bytes_max: int) -> None:
        """Above `memory_bytes_max` it is a temporary file; above `bytes_max` it is dropped."""
        self._file = SpooledTemporaryFile[bytes](max_size=memory_bytes_max)
        self._left = ANSWER_BYTES_MAX + bytes_max
        self._start = 0

    def write(self, data: bytes) -> int:
        """Keep what fits; the machine may send what it wants."""
        self._left -= self._file.write(data[: self._left])
        return len(data)

    def answer(self) -> dict[str, Any]:
        """Read the answer and stand at the payload. :raises ScriptFailed:"""
        self._file.seek(0)
        answer = _answer(self._file.readline(ANSWER_BYTES_MAX))
        self._start = self._file.tell()
        return answer

    @property
    def payload_bytes(self) -> int:
        """How long the payload is. Call `answer` first."""
        return self._file.seek(0, os.SEEK_END) - self._start

    def payload(self) -> bytes:
        """All of it. Call `answer` first."""
        self._file.seek(self._start)
        return self._file.read()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The payload piece by piece. Call `answer` first."""
        self._file.seek(self._start)
        while chunk := await asyncio.to_thread(self._file.read, CHUNK_BYTES):
            yield chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Forget it."""
        self._file.close()


async def ask(
    machine: Machine,
    entry: str,
    request: Mapping[str, object],
    *,
    timeout_seconds: float,
    payload: AsyncIterable[bytes] | None = None,
    spool: Spool | None = None,
) -> dict[str, Any]:
    """Run a script of `vmpool.guest.worktree` in the machine and return its answer.

    :raises ScriptFailed: it broke; what the machine said is in the text
    """
    done = await machine.run(
        [*PYTHON, program(entry, request)],
        stdin=payload,
        timeout_seconds=timeout_seconds,
        output_bytes_max=ANSWER_BYTES_MAX,
        stdout=spool,
    )
    if done.exit_status != 0:
        raise ScriptFailed(last_line(done.stderr) or f"exit status {done.exit_status}")
    return spool.answer() if spool is not None else _answer(done.stdout)


def _answer(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ScriptFailed(_("the machine answered something else"))
    return answer


def last_line(stderr: bytes) -> str:
    """The last thing a program complained about, bounded and printable."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return "".join(c for c in lines[-1] if c.isprintable())[:300] if lines else ""
