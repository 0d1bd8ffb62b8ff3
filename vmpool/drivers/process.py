"""Hypervisor processes that outlive ours: started in a session of their own, found again later.

A process is recognised by pid, start time and the kernel's boot id, so that a reused pid is never
taken for ours. It is signalled through a pidfd that was checked after it was opened. Nothing here
is the process's parent for good: a restart of ours leaves it running under init.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

INHERITED_FD_FIRST = 3
_FD_ABOVE_INHERITED = 64


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of this host, across restarts of ours."""

    pid: int
    start_ticks: int
    """Start time in clock ticks since boot, from /proc/<pid>/stat."""
    boot_id: str


def read_boot_id() -> str:
    """Identify this boot of the host's kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start(argv: Sequence[str], *, log: Path, fds: Sequence[int] = ()) -> Process:
    """Start a process in its own session; it sees `fds` as 3, 4, ... and `log` as its output.

    It gets a bare environment, so that no secret of ours can be read from it.

    :raises FileNotFoundError: no such program
    :raises PermissionError: it may not be run
    """
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FD_ABOVE_INHERITED) for fd in fds]
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions: list[tuple[object, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        *(
            (os.POSIX_SPAWN_DUP2, copy, INHERITED_FD_FIRST + place)
            for place, copy in enumerate(copies)
        ),
    ]
    try:
        pid = os.posix_spawnp(
            argv[0],
            list(argv),
            {"PATH": os.defpath, "LC_ALL": "C"},
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM),
        )
    finally:
        for copy in copies:
            os.close(copy)
    return Process(pid=pid, start_ticks=_start_ticks(pid) or 0, boot_id=read_boot_id())


def is_alive(process: Process) -> bool:
    """Whether this very process still runs; a zombie does not."""
    if process.boot_id != read_boot_id():
        return False
    return _start_ticks(process.pid) == process.start_ticks


def with_argument(option: str, prefix: str) -> Iterator[tuple[Process, str]]:
    """Find the processes called with `option` and a value that starts so; yields the value."""
    needle = b"\0" + os.fsencode(option) + b"\0" + os.fsencode(prefix)
    boot_id = read_boot_id()
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            ticks = _start_ticks(pid)
            before, _, after = line.partition(needle)
            if before != line and ticks is not None:
                found = Process(pid=pid, start_ticks=ticks, boot_id=boot_id)
                yield found, prefix + os.fsdecode(after.partition(b"\0")[0])


async def ended(process: Process) -> int | None:
    """Wait until the process has ended; returns its wait status when it was our child."""
    fd = _pidfd(process)
    if fd is None:
        return _reap(process.pid)
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()

    def notice() -> None:
        loop.remove_reader(fd)
        if not gone.done():
            gone.set_result(None)

    loop.add_reader(fd, notice)
    try:
        await gone
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return _reap(process.pid)


async def kill(process: Process) -> None:
    """End the process with SIGKILL and wait until it is gone; gone already is success."""
    fd = _pidfd(process)
    if fd is not None:
        try:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        finally:
            os.close(fd)
    await ended(process)


def describe_status(status: int | None) -> str:
    """Say how a process ended."""
    if status is None:
        return "its process ended"
    if os.WIFSIGNALED(status):
        return f"its process was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"its process ended with status {os.waitstatus_to_exitcode(status)}"


def _pidfd(process: Process) -> int | None:
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if is_alive(process):
        return fd
    os.close(fd)
    return None


def _reap(pid: int) -> int | None:
    with contextlib.suppress(ChildProcessError):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found == pid:
            return status
    return None


def _start_ticks(pid: int) -> int | None:
    """Start time of a process that runs, or None for a zombie and for nobody."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    state, ticks = fields[0], int(fields[19])
    return None if state in "ZX" else ticks
