"""Keeps the processes of `ona up` alive: starts them, ends stalled ones, stops them cleanly.

    start ─▶ alive ─▶ (ended by itself, or no beat for `stall_seconds`: killed) ─▶ pause ─▶ start …
               └─ stop: TERM, `stop_seconds` to finish ─▶ KILL

A child beats once a second by writing a byte to the pipe whose number is in ONA_BEAT_FD. A child
that is frozen or whose event loop hangs is killed before its successor starts, so that two
processes never speak to the machines of one host.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

BEAT_SECONDS = 1.0
RESTART_SECONDS_MIN = 0.5
RESTART_SECONDS_MAX = 5.0
STEADY_SECONDS = 60.0
"""A child that lived this long starts again without a growing pause."""
KILL_SECONDS = 5.0
ENDS_MAX, ENDS_SECONDS = 3, 60.0
"""A child that ended so often within that time will do so again: somebody has to look."""
LOG_BYTES_MAX = 16 * 1024 * 1024


@dataclass(kw_only=True)
class Child:
    """One process to keep alive."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    """Where both output streams go; None: to ours."""
    stall_seconds: float = 20.0
    first_beat_seconds: float = 90.0
    """Until it beats at all: on a busy host its modules alone take half a minute to be read."""
    stop_seconds: float = 60.0
    restarts: int = 0
    pid: int | None = None
    since: datetime | None = None
    """When its present life began."""
    log_from: int = 0
    """Where in the log its present or last life begins, in bytes."""
    status: int | None = None
    """How its last life ended: as `Process.returncode`."""
    ends: list[float] = field(default_factory=list)
    """When it ended by itself within the last minute, by the loop's clock."""


class Watcher(Protocol):
    """Is told what becomes of children."""

    def changed(self, children: Sequence[Child]) -> None:
        """One of them began or ended a life."""
        ...

    def killed(self, child: Child) -> None:
        """It did not end within `stop_seconds`, nor when it was told again."""
        ...

    def keeps_ending(self, child: Child) -> None:
        """It ended by itself ENDS_MAX times within ENDS_SECONDS, and goes on doing so."""
        ...


class Supervisor:
    """Runs children until told to stop."""

    def __init__(self, children: Sequence[Child], watcher: Watcher | None = None) -> None:
        """Children are stopped in the reverse of the order given."""
        self._children = children
        self._watcher = watcher
        self._now = asyncio.Event()

    def hurry(self) -> None:
        """A second signal: do not wait for anything any more."""
        self._now.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep every child alive until `stop`, then end them, the last one first."""
        stops = [asyncio.Event() for _ in self._children]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._keep(child, ending))
                for child, ending in zip(self._children, stops, strict=True)
            ]
            await stop.wait()
            for task, ending in reversed(list(zip(tasks, stops, strict=True))):
                ending.set()
                await task

    async def _keep(self, child: Child, stop: asyncio.Event) -> None:
        pause = RESTART_SECONDS_MIN
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            began = loop.time()
            await self._live(child, stop)
            if stop.is_set():
                return
            lived = loop.time() - began
            pause = (
                RESTART_SECONDS_MIN
                if lived > STEADY_SECONDS
                else min(pause * 2, RESTART_SECONDS_MAX)
            )
            child.restarts += 1
            self._note_end(child, loop.time())
            log.warning("child_restarts", name=child.name, lived_seconds=round(lived, 1))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stop.wait()

    def _note_end(self, child: Child, at: float) -> None:
        child.ends = [*(end for end in child.ends if end > at - ENDS_SECONDS), at]
        if len(child.ends) >= ENDS_MAX and self._watcher is not None:
            child.ends = []
            self._watcher.keeps_ending(child)

    def _changed(self) -> None:
        if self._watcher is not None:
            self._watcher.changed(self._children)

    async def _live(self, child: Child, stop: asyncio.Event) -> None:
        """One life of a child: returns when its process has ended."""
        beat_read, beat_write = os.pipe()
        os.set_blocking(beat_read, False)
        log_file = _open_log(child.log)
        child.log_from = 0 if log_file is None else os.fstat(log_file).st_size
        try:
            process = await asyncio.create_subprocess_exec(
                *child.argv,
                env={**os.environ, **child.environment, "ONA_BEAT_FD": str(beat_write)},
                pass_fds=(beat_write,),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,
            )
        except BaseException:
            os.close(beat_read)
            raise
        finally:
            os.close(beat_write)
            if log_file is not None:
                os.close(log_file)
        child.pid, child.since = process.pid, datetime.now(UTC)
        self._changed()
        ended = asyncio.create_task(process.wait())
        watching = asyncio.create_task(self._watch_beat(child, beat_read))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({ended, watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and stop.is_set():
                await self._end(child, process, ended)
            elif not ended.done():
                log.error("child_stalled", name=child.name, pid=process.pid)
                _kill(process)
            await ended
        finally:
            for task in (watching, stopping):
                task.cancel()
            _kill(process)
            child.pid, child.since, child.status = None, None, process.returncode
            os.close(beat_read)
            self._changed()

    async def _watch_beat(self, child: Child, beat: int) -> None:
        """Return when the child was silent for too long."""
        loop = asyncio.get_running_loop()
        last, patience = loop.time(), child.first_beat_seconds
        while loop.time() - last < patience:
            await asyncio.sleep(BEAT_SECONDS)
            with contextlib.suppress(BlockingIOError):
                if os.read(beat, 4096):
                    last, patience = loop.time(), child.stall_seconds

    async def _end(
        self,
        child: Child,
        process: asyncio.subprocess.Process,
        ended: "asyncio.Task[int]",
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        hurried = asyncio.create_task(self._now.wait())
        await asyncio.wait(
            {ended, hurried}, timeout=child.stop_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        hurried.cancel()
        if ended.done():
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait({ended}, timeout=KILL_SECONDS)
        if not ended.done():
            if self._watcher is None:
                log.error("child_killed", name=child.name)
            else:
                self._watcher.killed(child)
            _kill(process)


def _open_log(path: Path | None) -> int | None:
    """Open the log for appending; one that has grown too long becomes the old one."""
    if path is None:
        return None
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".old.log"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def beat_for_ever(descriptor: int | None, orphaned: asyncio.Event) -> None:
    """A child's side: beat while the event loop turns; None: nobody listens.

    `orphaned` is set when the supervisor is gone: nobody would end this process if it stalled.
    """
    if descriptor is None:
        return
    os.set_blocking(descriptor, False)
    while True:
        try:
            os.write(descriptor, b".")
        except BlockingIOError:
            pass
        except BrokenPipeError:
            orphaned.set()
            return
        await asyncio.sleep(BEAT_SECONDS)


class Signals:
    """SIGTERM and SIGINT as events: the first asks to stop, the second to stop now."""

    def __init__(self) -> None:
        """Call `install` inside the running loop."""
        self.stop = asyncio.Event()
        self.now = asyncio.Event()

    def install(self) -> None:
        """Take both signals over in the running event loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        if self.stop.is_set():
            self.now.set()
        self.stop.set()


def ona_argv(*arguments: str) -> list[str]:
    """The command line of another process of this installation."""
    return [sys.executable, "-m", "bot", *arguments]
