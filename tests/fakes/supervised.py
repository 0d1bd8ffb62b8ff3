"""A supervisor and its two children as real processes, for tests that kill and freeze them.

Run as `python -m tests.fakes.supervised DIRECTORY STALL_SECONDS STOP_SECONDS`. The children `first`
and `last` write a line into DIRECTORY/story for each thing that happens to them. They look for
files there: NAME.dies ends the child right at its start, NAME.slow keeps it until it is told to
hurry, NAME.deaf makes it ignore every request to end.
"""

import asyncio
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from bot.supervisor import Child, Signals, Supervisor, beat_for_ever

NAMES = ("first", "last")
ENDING_SECONDS = 0.5
"""How long a child takes to end: who does not wait for it is seen in the story."""
LIFE_SECONDS_MAX = 120.0
"""Nothing stays behind whatever happens to the test."""
PR_SET_PDEATHSIG = 1


def child_of(directory: Path, name: str, stall: float, stop: float) -> Child:
    return Child(
        name=name,
        argv=[sys.executable, "-m", "tests.fakes.supervised", str(directory), name],
        stall_seconds=stall,
        first_beat_seconds=stall,
        stop_seconds=stop,
    )


async def supervise(directory: Path, stall: float, stop: float) -> None:
    signals = Signals()
    signals.install()
    supervisor = Supervisor([child_of(directory, name, stall, stop) for name in NAMES])
    running = asyncio.create_task(supervisor.run(signals.stop))
    hurried = asyncio.create_task(signals.now.wait())
    await asyncio.wait({running, hurried}, return_when=asyncio.FIRST_COMPLETED)
    supervisor.hurry()
    await running
    hurried.cancel()


class Life:
    """What happens to one child."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name

    def told(self, what: str) -> bool:
        return (self._directory / f"{self._name}.{what}").exists()

    def write(self, *words: object) -> None:
        line = " ".join(str(word) for word in (self._name, *words))
        with (self._directory / "story").open("a") as story:
            story.write(f"{line}\n")

    def begin(self) -> None:
        """Note when this process started, and whether the one before it was still there."""
        pid_file = self._directory / f"{self._name}.pid"
        before = pid_file.read_text() if pid_file.exists() else "none"
        pid_file.write_text(str(os.getpid()))
        company = "beside" if Path(f"/proc/{before}").exists() else "alone"
        self.write("started", os.getpid(), company, time.monotonic())

    async def run(self) -> None:
        signals = Signals()
        signals.install()
        beating = asyncio.create_task(beat_for_ever(int(os.environ["ONA_BEAT_FD"]), signals.stop))
        self.begin()
        if self.told("dies"):
            sys.exit(1)
        await signals.stop.wait()
        self.write("stopping")
        if self.told("deaf"):
            await asyncio.Event().wait()
        if self.told("slow"):
            await signals.now.wait()
            self.write("hurried")
        await asyncio.sleep(ENDING_SECONDS)
        self.write("ended")
        beating.cancel()


def main(directory: str, *rest: str) -> None:
    if rest[0] in NAMES:
        signal.alarm(int(LIFE_SECONDS_MAX))
        asyncio.run(Life(Path(directory), rest[0]).run())
    else:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        stall, stop = (float(seconds) for seconds in rest)
        asyncio.run(supervise(Path(directory), stall, stop))


if __name__ == "__main__":
    main(*sys.argv[1:])
