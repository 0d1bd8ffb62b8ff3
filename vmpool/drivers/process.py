"""Hypervisor processes that outlive ours: started in a session of their own, found again later.

A process is recognised by pid, start time and the kernel's boot id, so that a reused pid is never
taken for ours. One whose record was never written is found by a mark in its environment. It is
signalled through a pidfd that was checked after it was opened. Nothing here is the process's
parent for good: a restart of ours leaves it running under init.
"""

import asyncio
import contextlib
import fcntl
import functools
import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmpool.apart import apart
from vmpool.errors import is_of_host

INHERITED_FD_FIRST = 3
"""After input, output and errors."""
MARK = "ONA_LAUNCH"
"""The variable in the environment of a process that says which launch of ours it is."""
LOOK_AGAIN_SECONDS = 1.0
END_SECONDS_MAX = 60.0
"""From the kill to the end; what takes longer is tried again, and keeps nobody else waiting."""
_FD_ABOVE_INHERITED = 64
_STOPPED, _ENDED = (b"T", b"t"), (b"Z", b"X")
"""States of /proc/<pid>/stat."""
_STAT_BYTES_MAX = 4096
"""52 numbers and a name of 64 bytes at most."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of this host, across restarts of ours."""

    pid: int
    start_ticks: int
    """Start time in clock ticks since boot, from /proc/<pid>/stat."""
    boot_id: str


@functools.cache
def read_boot_id() -> str:
    """Identify this boot of the host's kernel; as long as we live it is the same."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start(
    argv: Sequence[str],
    *,
    output: Path,
    errors: Path | None = None,
    fds: Sequence[int] = (),
    mark: str = "",
    confine: Callable[[], None] | None = None,
) -> Process:
    """Start a process in its own session; it sees `fds` as 3, 4, ...

    What it says is appended to `output`, its errors to a file of their own if there is one. It
    gets a bare environment, so that no secret of ours can be read from it, and leaves no core
    dump, which would hold its guest's.

    :param mark: what `marked` finds it by
    :param confine: called first, in the thread that starts it: what it does to that holds for it
    :raises FileNotFoundError: no such program
    :raises PermissionError: it may not be run
    """
    with contextlib.ExitStack() as stack:
        # All is open before the thread is confined.
        nothing = _opened(Path(os.devnull), os.O_RDONLY, stack)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        says = [_opened(path, append, stack) for path in (output, errors or output)]
        given = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FD_ABOVE_INHERITED) for fd in fds]
        for fd in given:
            stack.callback(os.close, fd)

        def spawn() -> int:
            if confine is not None:
                confine()
            return _spawn(argv, [nothing, *says, *given], mark)

        pid = spawn() if confine is None else apart(spawn)
    # It may have ended already: until it is reaped its number is nobody else's.
    found = _stat(pid)
    return Process(pid=pid, start_ticks=found[1] if found else 0, boot_id=read_boot_id())


def _spawn(argv: Sequence[str], fds: Sequence[int], mark: str) -> int:
    """:param fds: what the process finds as its descriptors, from 0 on; all of them higher"""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    # Inherited; another one's limits may only be changed with a right that we may lack.
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    try:
        return os.posix_spawnp(
            argv[0],
            list(argv),
            {"PATH": os.defpath, "LC_ALL": "C", MARK: mark},
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, place) for place, fd in enumerate(fds)],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM),
        )
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def _opened(path: Path, flags: int, stack: contextlib.ExitStack) -> int:
    low = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fd = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _FD_ABOVE_INHERITED)
    finally:
        os.close(low)
    stack.callback(os.close, fd)
    return fd


def is_alive(process: Process) -> bool:
    """Whether this very process still runs; a zombie does not."""
    if process.boot_id != read_boot_id():
        return False
    return _start_ticks(process.pid) == process.start_ticks


def is_stopped(process: Process) -> bool:
    """Whether it lives and stands still, as somebody stopped it: by a signal, or to debug it."""
    found = _stat(process.pid)
    return found is not None and found[1] == process.start_ticks and found[0] in _STOPPED


def marked(prefix: str) -> Iterator[tuple[Process, str]]:
    """Find the processes that were started with a mark that begins so; yields the mark too."""
    needle = os.fsencode(f"{MARK}={prefix}")
    boot_id = read_boot_id()
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        with contextlib.suppress(OSError):
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            ticks = _start_ticks(pid)
            mark = next((each for each in variables if each.startswith(needle)), None)
            if mark is not None and ticks is not None:
                found = Process(pid=pid, start_ticks=ticks, boot_id=boot_id)
                yield found, os.fsdecode(mark.partition(b"=")[2])


async def ended(process: Process) -> int | None:
    """Wait until the process has ended; returns its wait status when it was our child."""
    while True:
        try:
            fd = _pidfd(process)
            break
        except OSError as error:
            if not is_of_host(error):
                raise
            # As much is open as may be: its end is looked for again, not given up.
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
    if fd is None:
        return _reap(process)
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
    return _reap(process)


async def kill(process: Process) -> None:
    """End the process with SIGKILL and wait until it is gone; gone already is success.

    :raises TimeoutError: the kernel does not let it end: it waits for a disk or a device
    """
    fd = _pidfd(process)
    if fd is not None:
        try:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        finally:
            os.close(fd)
    try:
        async with asyncio.timeout(END_SECONDS_MAX):
            await ended(process)
    except TimeoutError:
        raise TimeoutError(f"process {process.pid} was killed and does not end") from None


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
    is_it = False
    try:
        is_it = is_alive(process)
    finally:
        if not is_it:
            os.close(fd)
    return fd if is_it else None


def _reap(process: Process) -> int | None:
    found = _stat(process.pid)
    if found is None or found[1] != process.start_ticks:
        # Its number may be another child's by now, whose end somebody else waits for.
        return None
    with contextlib.suppress(ChildProcessError):
        pid, status = os.waitpid(process.pid, os.WNOHANG)
        if pid == process.pid:
            return status
    return None


def _start_ticks(pid: int) -> int | None:
    """Start time of a process that runs, or None for a zombie and for nobody."""
    found = _stat(pid)
    return None if found is None or found[0] in _ENDED else found[1]


def _stat(pid: int) -> tuple[bytes, int] | None:
    """State and start time of a process; None: there is none."""
    try:
        # Asked around every request, so in as few steps as there are.
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            said = file.read(_STAT_BYTES_MAX)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    fields = said.rpartition(b")")[2].split()
    return fields[0], int(fields[19])
