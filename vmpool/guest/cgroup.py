"""Who belongs to a job: a cgroup v2 of its own, or where there is none, its process group."""

import contextlib
import os
import signal
from collections.abc import Iterator


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)


class Cgroup:
    """All processes of one job, however they forked, changed session or user."""

    def __init__(self, path: str) -> None:
        self.path = path

    def create(self, *, pids_max: int, memory_bytes_max: int | None) -> None:
        """Make it with its limits; idempotent. :raises OSError: a controller is missing."""
        os.makedirs(self.path, exist_ok=True)
        # While it is started we are in it too.
        _write(os.path.join(self.path, "pids.max"), str(max(2, pids_max)))
        if memory_bytes_max is not None:
            _write(os.path.join(self.path, "memory.max"), str(memory_bytes_max))
            _write(os.path.join(self.path, "memory.oom.group"), "1")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it ourselves for a moment: what is started then is in it from its first step."""
        home = os.path.dirname(os.path.dirname(self.path))
        try:
            _write(os.path.join(self.path, "cgroup.procs"), "0")
            yield
        finally:
            _write(os.path.join(home, "cgroup.procs"), "0")

    def pids(self, leader: int | None) -> list[int]:
        """The processes alive in it."""
        try:
            return [int(line) for line in _read(os.path.join(self.path, "cgroup.procs")).split()]
        except OSError:
            return []

    def signal(self, leader: int | None, number: int) -> None:
        """Send a signal to each process; SIGKILL reaches also those forked meanwhile."""
        if number == signal.SIGKILL:
            with contextlib.suppress(OSError):
                _write(os.path.join(self.path, "cgroup.kill"), "1")
            return
        for pid in self.pids(leader):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def out_of_memory(self) -> bool:
        """Whether the kernel killed something in it for want of memory."""
        try:
            words = _read(os.path.join(self.path, "memory.events")).split()
        except OSError:
            return False
        return int(dict(zip(words[::2], words[1::2], strict=True)).get("oom_kill", "0")) > 0

    def remove(self) -> bool:
        """Remove it when it is empty; False while something lives in it."""
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


class ProcessGroup:
    """The same without cgroups: what left the job's process group is not seen."""

    def create(self, *, pids_max: int, memory_bytes_max: int | None) -> None:
        """Nothing to make, and no limits."""

    def entered(self) -> contextlib.AbstractContextManager[None]:
        """Nothing to be in: a new session is a new group."""
        return contextlib.nullcontext()

    def pids(self, leader: int | None) -> list[int]:
        """The leader's pid while anybody of its group is alive."""
        if leader is None:
            return []
        try:
            os.killpg(leader, 0)
        except (ProcessLookupError, PermissionError):
            return []
        return [leader]

    def signal(self, leader: int | None, number: int) -> None:
        """Send a signal to the whole group."""
        if leader is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(leader, number)

    def out_of_memory(self) -> bool:
        """Unknown here."""
        return False

    def remove(self) -> bool:
        """Nothing to remove."""
        return True


def prepare(root: str, memory_reserve_bytes: int) -> None:
    """Make the parent of all jobs' cgroups; jobs together leave memory for us and for sshd.

    :raises OSError: no usable cgroup v2 here
    """
    _write(os.path.join(os.path.dirname(root), "cgroup.subtree_control"), "+pids +memory +cpu")
    os.makedirs(root, exist_ok=True)
    _write(os.path.join(root, "cgroup.subtree_control"), "+pids +memory +cpu")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    _write(os.path.join(root, "memory.max"), str(max(total - memory_reserve_bytes, total // 2)))


def of_logins(root: str) -> Cgroup:
    """That of all logins and of what they left running, beside the jobs'; made if need be."""
    found = Cgroup(os.path.join(os.path.dirname(root), "logins", "all"))
    os.makedirs(found.path, exist_ok=True)
    return found


def freeze(root: str) -> None:
    """Let no job take another step; who is in a system call stops where it would return.

    Nor what is in cgroups beside the jobs', the logins' and those that container engines make.

    :raises OSError: no cgroup v2
    """
    _set_frozen(root, "1")


def thaw(root: str) -> None:
    """Let all of them go on; idempotent. :raises OSError: they stand still."""
    _set_frozen(root, "0")


def _set_frozen(root: str, value: str) -> None:
    above = os.path.dirname(root)
    beside = (entry.path for entry in os.scandir(above) if entry.is_dir() and entry.path != root)
    for path in (root, *beside):
        try:
            _write(os.path.join(path, "cgroup.freeze"), value)
        except OSError:
            # Others may remove theirs meanwhile, and nothing is in it then.
            if os.path.exists(path):
                raise


def job_of(pid: int, root: str) -> str | None:
    """The id of the job this process belongs to; None: it belongs to none."""
    try:
        path = _read(f"/proc/{pid}/cgroup").strip().rpartition("0::")[2]
    except OSError:
        return None
    parent, _, job_id = path.partition("/" + os.path.basename(root) + "/")
    return job_id.partition("/")[0] or None if parent == "" else None
