"""A command of ours on a terminal, or with a program that feeds it; what it says is kept."""

import asyncio
import os
import pty
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import offline

ROOT = Path(__file__).parents[3]
SECONDS_MAX = 100


@dataclass(kw_only=True)
class Command:
    """One that runs."""

    process: asyncio.subprocess.Process
    terminal: int | None = None
    said: str = ""
    shown: str = field(default="", repr=False)
    """What the terminal itself showed: what was typed, where that is not hidden."""

    def type(self, *lines: str) -> None:
        assert self.terminal is not None
        os.write(self.terminal, "".join(f"{line}\n" for line in lines).encode())

    async def until(self, words: str, *, times: int = 1) -> str:
        """Read on until it has said that so often; all that was said so far."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            while self.said.count(words) < times:
                read = await self.process.stdout.read(4096)
                assert read, f"it ended without {words!r}: {self.said}"
                self.said += read.decode()
        return self.said

    async def end(self) -> int:
        """Wait for its end; its status."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            self.said += (await self.process.stdout.read()).decode()
            status = await self.process.wait()
        if self.terminal is not None:
            os.set_blocking(self.terminal, False)
            with suppress(BlockingIOError, OSError):
                self.shown += os.read(self.terminal, 65_536).decode()
        return status


@asynccontextmanager
async def command(
    *arguments: str, home: Path, given: str | None = None, **settings: str
) -> AsyncIterator[Command]:
    """Run `ona …`; with `given` that is its input, else it is a terminal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONA_")}
    ours, theirs = pty.openpty() if given is None else (None, asyncio.subprocess.PIPE)
    variables: Mapping[str, str] = {
        "ONA_DATA_DIR": str(home),
        "PYTHONPATH": offline.path(ROOT),
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *arguments),
        cwd=home,
        env={**kept, **variables},
        stdin=theirs,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    if given is None:
        os.close(theirs)
    else:
        assert process.stdin is not None
        process.stdin.write(given.encode())
        process.stdin.close()
    try:
        yield Command(process=process, terminal=ours)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if ours is not None:
            os.close(ours)
