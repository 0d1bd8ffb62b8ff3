"""A machine that is this host: commands run as local processes with a home of their own."""

import asyncio
import os
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

from vmpool.command import Completed, Source
from vmpool.errors import MachineLost


class LocalMachine:
    """`bot.work.guest.Machine` over local processes; the root directory is not its own."""

    def __init__(self, root: Path) -> None:
        """Keep home and work below `root`, which must exist; what is there already stays."""
        self.home = root / "home"
        self.work = root / "work"
        self.home.mkdir(exist_ok=True)
        self.work.mkdir(exist_ok=True)
        self.calls: list[list[str]] = []
        self.lost = False
        self.wrapper: list[str] = []
        """Words before each command, such as those that limit it."""
        self.cut_after: int | None = None
        """Bytes of a command's input after which the connection is lost."""

    @property
    def directory(self) -> Path:
        """Where a test's repository lies."""
        return self.work / "shop"

    async def run(
        self,
        argv: list[str],
        *,
        stdin: Source = None,
        timeout_seconds: float,
        output_bytes_max: int = 1 << 20,
        stdout: Any = None,
    ) -> Completed:
        """See `bot.work.guest.Machine`."""
        if self.lost:
            raise MachineLost("The connection into the machine was lost.")
        self.calls.append(argv)
        process = await asyncio.create_subprocess_exec(
            *self.wrapper,
            *argv,
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout_seconds), asyncio.TaskGroup() as group:
                feeding = group.create_task(self._feed(process, stdin))
                out = group.create_task(_read(process.stdout, stdout, output_bytes_max))
                err = group.create_task(_read(process.stderr, None, 1 << 16))
        except BaseException:
            process.kill()
            await process.wait()
            raise
        status = await process.wait()
        if feeding.result():
            raise MachineLost("The connection into the machine was lost.")
        return Completed(
            exit_status=status if status >= 0 else 128 - status,
            stdout=out.result()[0],
            stderr=err.result()[0],
            stdout_bytes=out.result()[1],
        )

    async def _feed(self, process: asyncio.subprocess.Process, source: Source) -> bool:
        """Write the input; True when the connection was cut before its end."""
        assert process.stdin is not None
        sent = 0
        try:
            async for data in _chunks(source):
                if self.cut_after is not None and sent + len(data) > self.cut_after:
                    process.stdin.write(data[: self.cut_after - sent])
                    process.stdin.close()
                    return True
                process.stdin.write(data)
                await process.stdin.drain()
                sent += len(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        process.stdin.close()
        return False


async def _chunks(source: Source) -> AsyncIterable[bytes]:
    if isinstance(source, bytes):
        yield source
    elif source is not None:
        async for data in source:
            yield data


async def _read(
    reader: asyncio.StreamReader | None, file: Any, bytes_max: int
) -> tuple[bytes, int]:
    assert reader is not None
    kept, count = bytearray(), 0
    while data := await reader.read(1 << 16):
        count += len(data)
        if file is not None:
            file.write(data)
        else:
            kept += data[: max(0, bytes_max - len(kept))]
    return bytes(kept), count
