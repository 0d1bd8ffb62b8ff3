"""One machine's directory below a driver's root: files, records, sockets.

spec.json        what the machine is; written last by create: its absence means half-made
process.json     the process that was launched; with no pid while the launch is under way
memory           of a running machine, where its hypervisor keeps memory in a file of its own
disk             written only by this machine's hypervisor, in the format that it likes
console.log      the guest's console, bounded
hypervisor.log   the hypervisor's own words, bounded
rest*/           see vmpool.rest
base             of a clone: the template's disk, below its own; a hard link

Sockets and what else a hypervisor needs lie beside them.
"""

import contextlib
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from vmpool.driver import Image, MachineSpec
from vmpool.drivers.process import Process, is_alive, with_argument
from vmpool.rest import MEMORY, Rest

SPEC = "spec.json"
DISK = "disk"
BASE = "base"
CONSOLE = "console.log"
LOG = "hypervisor.log"
WORDS_BYTES_MAX = 64 * 1024

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What is known of a process that was, or is just being, launched."""

    process: Process | None
    fingerprint: str


class Home:
    """The directory of one machine; every method looks at the disk anew."""

    def __init__(
        self, root: Path, machine_id: str, *, log_option: str, directory: str | None = None
    ) -> None:
        """`log_option` stands before the log's path in the command line of its processes.

        The directory is called like the machine unless it says otherwise.
        """
        if not is_machine_name(machine_id):
            raise ValueError(f"not a machine id: {machine_id!r}")
        self.machine_id = machine_id
        self.path = root / (directory or machine_id)
        self.base = self.path / BASE
        self.disk = self.path / DISK
        self.memory = self.path / MEMORY
        self.console = self.path / CONSOLE
        self.log = self.path / LOG
        self.rest = Rest(self.path)
        self._log_option = log_option

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
        shutil.rmtree(self.path, ignore_errors=True)
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
        """Load the record of the last launch; None: none, or unreadable."""
        try:
            found = json.loads((self.path / "process.json").read_text())
            process = Process(**found["process"]) if found["process"] else None
            return Launch(process=process, fingerprint=found["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def find_process(self) -> Process | None:
        """Look for the machine's live process, by the record or else among all processes."""
        launch = self.read_launch()
        if launch is None:
            return None
        if launch.process is not None:
            return launch.process if is_alive(launch.process) else None
        return next(self.stray_processes(), None)

    def stray_processes(self) -> Iterator[Process]:
        """Every live process that was started for this directory, recorded or not."""
        log = str(self.log)
        found = with_argument(self._log_option, log)
        return (process for process, value in found if value == log)

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator[socket.socket]:
        """A fresh listening socket in the directory, for the hypervisor to inherit."""
        (self.path / name).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, self.short() as short:
            sock.bind(f"{short}/{name}")
            sock.listen(1)
            yield sock

    def connect(self, name: str) -> socket.socket:
        """Connect to a socket in the directory; non-blocking.

        :raises BlockingIOError: somebody is connected and somebody else waits already
        :raises OSError: nobody listens
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            with self.short() as short:
                sock.connect(f"{short}/{name}")
        except BaseException:
            sock.close()
            raise
        return sock

    def bound_logs(self, bytes_max: int) -> None:
        """Cut console and log down to their last half once they are longer than allowed."""
        for path in (self.console, self.log):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size <= bytes_max:
                    continue
                kept = _tail(path, bytes_max // 2)
                # Both are opened for appending by whoever writes them, so cutting is safe.
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
        """A short path of the directory, for the time of the context.

        A unix socket's path may have 107 bytes; through a descriptor any directory is short.
        """
        fd = os.open(self.path, os.O_PATH | os.O_DIRECTORY)
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


def homeless(
    root: Path, names: frozenset[str], *, log_option: str
) -> Iterator[tuple[str, Process]]:
    """Live processes started for directories below `root` that are not among `names`."""
    for process, value in with_argument(log_option, f"{root}/"):
        machine_id = Path(value).parent.name
        if Path(value).parent.parent == root and machine_id not in names:
            yield machine_id, process


def machine_names(root: Path) -> list[str]:
    """Names of the directories below `root` that can be machines."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(e.name for e in os.scandir(root) if e.is_dir() and is_machine_name(e.name))
    return []
