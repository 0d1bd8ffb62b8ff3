"""The process of a PostgreSQL server: recognised by what it runs, ended with growing insistence."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

FAST_STOP_SECONDS_MAX = 20.0
IMMEDIATE_STOP_SECONDS_MAX = 5.0
PID_FILE = "postmaster.pid"


class PidFile:
    """What a server wrote about itself into its directory."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.pid = int(lines[0])
        self.socket_dir = Path(lines[4]) if len(lines) > 4 else Path()
        self.ready = len(lines) > 7 and lines[7].strip() == "ready"


def read_pid_file(data: Path) -> PidFile | None:
    """Read it; None: there is none, or it is being written."""
    try:
        return PidFile((data / PID_FILE).read_text().splitlines())
    except (FileNotFoundError, ValueError, IndexError):
        return None


def is_server(pid: int, data: Path) -> bool:
    """Whether `pid` is the server on `data`, and not a program that got its pid later."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"/postgres") and os.fsencode(data) in words


def reap(child: int) -> bool:
    """Whether a child of ours has ended, or is none of ours (any more)."""
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True


async def end_server(pid: int, data: Path) -> None:
    """End the server on `data`: fast, then immediate, then killed; another process is let be."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not is_server(pid, data):
            return
        for number, seconds in (
            (signal.SIGINT, FAST_STOP_SECONDS_MAX),
            (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS_MAX),
            (signal.SIGKILL, IMMEDIATE_STOP_SECONDS_MAX),
        ):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
            if await _ended(descriptor, seconds):
                return
    finally:
        os.close(descriptor)


async def _ended(descriptor: int, seconds: float) -> bool:
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        async with asyncio.timeout(seconds):
            await gone.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True
