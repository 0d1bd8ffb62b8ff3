"""One machine's directory below a driver's root: files, records, and what its process may reach.

spec.json        what the machine is; written last by create: its absence means half-made
process.json     the process that was launched; with no pid while the launch is under way
disk             written only by this machine's hypervisor, in the format that it likes
base             of a clone: the template's disk, below its own; a hard link
console.log      the guest's console, bounded
hypervisor.log   the hypervisor's own words, bounded
rest*/           see vmpool.rest
cell/            all of this that the machine's process may reach, for as long as it lives:
                 links to its disks, its memory, our sockets; it may write these and make nothing
cell/own/        the process's: a socket that it makes
cell/saving/     the process's while it writes a snapshot, else ours

The process gets its cell, and the directory of its image, as descriptors: it needs no right to any
directory above them. Whoever took it over could lay links, pipes and heaps into what is its own:
we open nothing there by a name that it could have changed, and follow no link.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vmpool.driver import Image, MachineSpec
from vmpool.drivers.process import Process, is_alive, marked
from vmpool.errors import is_of_host
from vmpool.rest import MEMORY, Rest

SPEC = "spec.json"
DISK = "disk"
BASE = "base"
CONSOLE = "console.log"
LOG = "hypervisor.log"
CELL, OWN, SAVING = "cell", "own", "saving"
CELL_FD = 4
IMAGE_FD = 5
"""Descriptors in every hypervisor's process, of the directories of its cell and of its image."""
REACH = f"/proc/self/fd/{CELL_FD}"
IMAGE_REACH = f"/proc/self/fd/{IMAGE_FD}"
"""As the process names them; short enough for a socket's path wherever they lie."""
READ_ONLY_MODE = 0o444
"""Of what several machines' processes read; it lies where only ours come by its own name."""
WORDS_BYTES_MAX = 64 * 1024

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What is known of a process that was, or is just being, launched."""

    token: str
    """Names the launch: its process is marked with it, its cgroup is called so."""
    process: Process | None
    fingerprint: str
    slot: str | None = None
    """The network slot that the process runs in."""


class Home:
    """The directory of one machine; every method looks at the disk anew."""

    def __init__(self, root: Path, machine_id: str, *, directory: str | None = None) -> None:
        """The directory is called like the machine unless it says otherwise."""
        if not is_machine_name(machine_id):
            raise ValueError(f"not a machine id: {machine_id!r}")
        self.root = root
        self.machine_id = machine_id
        self.path = root / (directory or machine_id)
        self.base = self.path / BASE
        self.disk = self.path / DISK
        self.console = self.path / CONSOLE
        self.log = self.path / LOG
        self.cell = self.path / CELL
        self.memory = self.cell / MEMORY
        """Of a running machine, where its hypervisor keeps memory in a file of its own."""
        self.rest = Rest(self.path)

    @property
    def exists(self) -> bool:
        """Whether anything of the machine is on disk."""
        return self.path.is_dir()

    def make(self) -> None:
        """Make the directory; there already is fine."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def remove(self) -> None:
        """Remove everything, the spec first, so that a removal cut short is seen as such."""
        (self.path / SPEC).unlink(missing_ok=True)
        remove_tree(self.path)
        if self.exists:
            shutil.rmtree(self.path)

    def write_spec(self, spec: MachineSpec) -> None:
        """Store the spec; from here on the machine counts as created."""
        image = {key: str(value) for key, value in asdict(spec.image).items()}
        self._write(SPEC, {**asdict(spec), "image": image, "format": 1})

    def read_spec(self) -> MachineSpec | None:
        """Load the spec; None while it is not there. :raises ValueError: it can't be read."""
        try:
            found = json.loads((self.path / SPEC).read_text())
            image = found["image"]
            return MachineSpec(
                image=Image(
                    kernel=Path(image["kernel"]),
                    initrd=Path(image["initrd"]),
                    disk=Path(image["disk"]),
                    digest=image["digest"],
                ),
                vcpus=found["vcpus"],
                memory_mib=found["memory_mib"],
                disk_gib=found["disk_gib"],
            )
        except FileNotFoundError:
            return None
        except (KeyError, TypeError) as error:
            raise ValueError(f"spec.json lacks {error}") from error

    def write_launch(self, launch: Launch | None) -> None:
        """Record a launch, or with None that there is no process any more."""
        if launch is None:
            (self.path / "process.json").unlink(missing_ok=True)
        else:
            self._write("process.json", asdict(launch))

    def read_launch(self) -> Launch | None:
        """Load the record of the last launch; None: none, or unreadable.

        :raises OSError: it can't be looked at now
        """
        try:
            found = json.loads((self.path / "process.json").read_text())
            process = Process(**found["process"]) if found["process"] else None
            return Launch(**{**found, "process": process})
        except (OSError, ValueError, KeyError, TypeError) as error:
            if is_of_host(error):
                raise
            return None

    def find_process(self) -> Process | None:
        """Look for the machine's live process, by the record or else among all processes."""
        launch = self.read_launch()
        if launch is None:
            return None
        if launch.process is not None:
            return launch.process if is_alive(launch.process) else None
        mark = mark_of(self.root, launch.token)
        return next((process for process, found in marked(mark) if found == mark), None)

    def make_cell(self, uid: int | None = None, gid: int | None = None) -> None:
        """Make an empty cell for a process that will run so; an older one is removed."""
        self.drop_cell()
        self.cell.mkdir(mode=0o755)
        for name in (OWN, SAVING):
            (self.cell / name).mkdir(mode=0o700)
        if uid is not None and gid is not None:
            os.chown(self.cell / OWN, uid, gid)

    def fill_cell(self) -> None:
        """Let the process reach the machine's disks."""
        self.give(self.disk)
        self.disk.chmod(0o600)
        os.link(self.disk, self.cell / DISK)
        if self.base.exists():
            os.link(self.base, self.cell / BASE)

    def drop_cell(self) -> None:
        """Remove the cell; what it links to stays, and is ours again. None there is success."""
        remove_tree(self.cell)
        with contextlib.suppress(FileNotFoundError):
            self.take_back(self.disk)

    @property
    def process_uid(self) -> int:
        """Whose the cell is. :raises FileNotFoundError: there is none"""
        return (self.cell / OWN).stat().st_uid

    def give(self, path: Path) -> None:
        """Make a file or directory the process's, in a directory that is ours."""
        owner = (self.cell / OWN).stat()
        if owner.st_uid != os.geteuid():
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def take_back(self, path: Path) -> None:
        """Make a file or directory in a directory of ours our own again."""
        if path.lstat().st_uid != os.geteuid():
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator[socket.socket]:
        """A fresh listening socket in the cell, for the hypervisor to inherit."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, self.short() as short:
            sock.bind(f"{short}/{name}")
            sock.listen(1)
            yield sock

    def connect(self, name: str) -> socket.socket:
        """Connect to a socket in the cell; non-blocking.

        :raises BlockingIOError: somebody is connected and somebody else waits already
        :raises OSError: nobody listens
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            with self.short() as short, contextlib.ExitStack() as stack:
                place = opened(Path(short, name), os.O_PATH | os.O_NOFOLLOW, stack)
                if not stat.S_ISSOCK(os.fstat(place).st_mode):
                    raise ConnectionRefusedError(f"{name} is no socket")
                sock.connect(f"/proc/self/fd/{place}")
        except BaseException:
            sock.close()
            raise
        return sock

    def bound_logs(self, bytes_max: int, others: Sequence[Path] = ()) -> None:
        """Cut console, log and others down to their last half once they are longer than allowed."""
        for path in (self.console, self.log, *others):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size <= bytes_max:
                    continue
                kept = _tail(path, bytes_max // 2)
                # All are opened for appending by whoever writes them, so cutting is safe.
                with path.open("r+b") as file:
                    file.write(kept)
                    file.truncate()

    def clear_logs(self, *, console: bool) -> None:
        """Start the hypervisor's log anew, the guest's console only when asked."""
        for path in (self.log, *([self.console] if console else [])):
            path.write_bytes(b"")

    def last_words(self) -> str:
        """What the hypervisor said last, in one line; empty when it said nothing."""
        lines = _tail_lines(self.log)
        return lines[-1].strip() if lines else ""

    def panic(self) -> str:
        """The console's last line about a kernel panic; empty when there is none."""
        lines = [line for line in _tail_lines(self.console) if "Kernel panic" in line]
        return lines[-1].strip() if lines else ""

    @contextlib.contextmanager
    def short(self) -> Iterator[str]:
        """A short path of the cell, for the time of the context.

        A unix socket's path may have 107 bytes; through a descriptor any directory is short.
        """
        fd = os.open(self.cell, os.O_PATH | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)

    def _write(self, name: str, value: object) -> None:
        fresh = self.path / f"{name}.new"
        fresh.write_text(json.dumps(value, indent=1))
        os.rename(fresh, self.path / name)


def is_machine_name(name: str) -> bool:
    """Whether a directory entry can be a machine's; anything else is not ours to touch."""
    return _NAME.fullmatch(name) is not None


def _tail(path: Path, bytes_max: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - bytes_max))
        return file.read(bytes_max)


def _tail_lines(path: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        text = _tail(path, WORDS_BYTES_MAX).decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()]
    return []


def opened(path: Path, flags: int, stack: contextlib.ExitStack) -> int:
    """A descriptor for a process to inherit, closed with the stack; ours alone if it is made."""
    fd = os.open(path, flags, 0o600)
    stack.callback(os.close, fd)
    return fd


def remove_tree(path: Path) -> None:
    """Remove a directory as far as it can be, however deep somebody made it. Blocking."""
    try:
        shutil.rmtree(path, ignore_errors=True)
    except RecursionError:
        subprocess.run(["rm", "-rf", "--", path], check=False, capture_output=True)


def mark_of(root: Path, token: str) -> str:
    """What marks the process of a launch below this root."""
    return f"{root}/{token}"


def machine_names(root: Path) -> list[str]:
    """Names of the directories below `root` that can be machines."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(e.name for e in os.scandir(root) if e.is_dir() and is_machine_name(e.name))
    return []
