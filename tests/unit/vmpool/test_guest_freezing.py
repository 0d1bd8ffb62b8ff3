"""Jobs of the guest program stand still from a freeze until the machine is its own again."""

import base64
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmpool.guest import cgroup
from vmpool.guest.guest import Guest
from vmpool.guest.jobs import Jobs, Refused
from vmpool.guest.loop import Loop
from vmpool.guest.settings import Settings

WAIT_SECONDS_MAX = 20.0
STANDS_SECONDS = 0.2
"""Long enough for thousands of steps of who does not stand still."""
COUNTING = "import mmap, sys; m = mmap.mmap(int(sys.argv[1]), 8); n = 0\nwhile True: n += 1; "
COUNTING += "m[:] = n.to_bytes(8, 'little')"
IDENTITY = {
    "machine": "m-1",
    "hostname": "m-1",
    "host_key": "key",
    "host_certificate": "certificate",
    "user_ca": "ca",
}
ORDER = {"job": "j1", "argv": ["/bin/true"]}


class Hosted(Settings):
    """Without cgroups: those of this host lack what jobs' limits need."""

    cgroup_root = None


def until(holds: Callable[[], bool]) -> None:
    due = time.monotonic() + WAIT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < due
        time.sleep(0.01)


@pytest.fixture
def root() -> Iterator[Path]:
    """A parent of jobs' cgroups on this host, and one beside it."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = Path(next((words[1] for words in mounts if words[2] == "cgroup2"), "/none"))
    place = above / f"ona-test-{uuid.uuid4().hex}"
    try:
        place.mkdir()
    except OSError as error:
        pytest.skip(f"!!! NOT TESTED: no cgroup v2 can be made here ({error})")
    made = [place / "ona" / "job", place / "ona", place / "beside", place]
    try:
        for path in reversed(made[:3]):
            path.mkdir(exist_ok=True, parents=True)
        yield place / "ona"
    finally:
        (place / "cgroup.kill").write_text("1")
        for path in made:
            until(lambda path=path: _removed(path))


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError:
        return not path.exists()
    return True


class Counting:
    """A process that counts as fast as it can, in a cgroup."""

    def __init__(self, home: Path, place: Path) -> None:
        self._file = home / f"count-{place.name}"
        self._file.write_bytes(bytes(8))
        fd = os.open(self._file, os.O_RDWR)
        self.process = subprocess.Popen(
            [sys.executable, "-c", COUNTING, str(fd)],
            pass_fds=[fd],
        )
        os.close(fd)
        (place / "cgroup.procs").write_text(str(self.process.pid))

    def count(self) -> int:
        return int.from_bytes(self._file.read_bytes(), "little")

    def goes_on(self) -> None:
        before = self.count()
        until(lambda: self.count() > before)


@pytest.fixture
def counting(root: Path, tmp_path: Path) -> Iterator[list[Counting]]:
    """One in a job, one beside the jobs, as a container engine's are."""
    made = [Counting(tmp_path, place) for place in (root / "job", root.parent / "beside")]
    yield made
    for each in made:
        each.process.send_signal(signal.SIGKILL)
        each.process.wait()


def is_frozen(root: Path) -> bool:
    return all(
        "frozen 1" in (path / "cgroup.events").read_text()
        for path in (root / "job", root.parent / "beside")
    )


def test_whatever_is_in_a_cgroup_stands_still_until_it_is_thawed(
    root: Path, counting: list[Counting]
) -> None:
    for each in counting:
        each.goes_on()
    cgroup.freeze(str(root))
    until(lambda: is_frozen(root))
    before = [each.count() for each in counting]
    time.sleep(STANDS_SECONDS)
    assert [each.count() for each in counting] == before
    cgroup.thaw(str(root))
    for each in counting:
        each.goes_on()


def test_what_stands_still_can_be_killed(root: Path, counting: list[Counting]) -> None:
    cgroup.freeze(str(root))
    until(lambda: is_frozen(root))
    cgroup.Cgroup(str(root / "job")).signal(None, signal.SIGKILL)
    assert counting[0].process.wait(WAIT_SECONDS_MAX) == -signal.SIGKILL


def test_without_a_freezer_nothing_is_taken_for_frozen(tmp_path: Path) -> None:
    (tmp_path / "ona").mkdir()
    with pytest.raises(OSError, match=r"cgroup\.freeze"):
        cgroup.freeze(str(tmp_path / "ona"))


def test_nothing_is_started_while_jobs_stand_still(tmp_path: Path) -> None:
    jobs = Jobs(Loop(), Hosted(state_directory=str(tmp_path), owns_machine=False))
    jobs.freeze()
    with pytest.raises(Refused, match="goes to rest") as refusal:
        jobs.start(ORDER)
    assert refusal.value.code == "at_rest"
    assert not jobs.knows("j1")
    jobs.thaw()
    jobs.start(ORDER)
    assert jobs.knows("j1")


@pytest.fixture
def guest(root: Path, tmp_path: Path) -> Iterator[Guest]:
    """One whose jobs' cgroups are those of `root`, and of which nothing else is this host's."""
    settings = Hosted(
        run_directory=str(tmp_path / "run"),
        state_directory=str(tmp_path / "state"),
        owns_machine=False,
    )
    made = Guest(Loop(), settings)
    settings.cgroup_root = str(root)
    yield made
    for part in (made._server, made._questions, made._logins):
        part._socket.close()


def word(**identity: str) -> dict[str, object]:
    return {
        "time": time.time(),
        "entropy": base64.b64encode(bytes(64)).decode(),
        "identity": {**IDENTITY, **identity},
    }


def test_jobs_go_on_only_once_the_machine_has_its_identity(root: Path, guest: Guest) -> None:
    done: list[bool] = []

    def frozen() -> bool:
        return (root / "cgroup.freeze").read_text() == "1\n"

    guest.thaw(word())
    assert not frozen()
    guest.freeze(lambda: done.append(frozen()))
    assert done == [True], "they stand still before the host hears of it"
    with pytest.raises(ValueError, match="not a machine id"):
        guest.thaw(word(machine="../m-1"))
    assert frozen(), "what failed destroys the machine, and nothing of it ran"
    guest.thaw(word())
    assert not frozen()
    guest.freeze(lambda: None)
    guest.thaw(word())
    assert not frozen(), "a rest that was none"
