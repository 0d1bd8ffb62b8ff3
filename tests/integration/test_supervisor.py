"""The supervisor as a process, with children that die, freeze, do not end, and are left alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bot.supervisor import KILL_SECONDS
from tests.support.family import is_running

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STEP_SECONDS_MAX = 100.0
PATIENT_SECONDS = 100.0
"""For a limit that is not to be reached in a test."""


class Supervised:
    """A supervisor with its children `first` and `last`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None

    def tell(self, name: str, what: str) -> Path:
        file = self.directory / f"{name}.{what}"
        file.touch()
        return file

    def start(self, *, stall: float = PATIENT_SECONDS, stop: float = PATIENT_SECONDS) -> None:
        words = [str(self.directory), str(stall), str(stop)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.supervised", *words], cwd=ROOT
        )
        self.until(lambda: {line[0] for line in self.story()} == {"first", "last"}, "both to start")

    def story(self) -> list[list[str]]:
        file = self.directory / "story"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def happened(self) -> list[str]:
        """The story without the starts."""
        return [" ".join(line) for line in self.story() if line[1] != "started"]

    def starts(self, name: str) -> list[list[str]]:
        """Of each start: process id, alone or beside the one before, and when."""
        return [line[2:] for line in self.story() if line[:2] == [name, "started"]]

    def pid(self, name: str) -> int:
        return int(self.starts(name)[-1][0])

    def until(self, holds: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + STEP_SECONDS_MAX
        while not holds():
            assert time.monotonic() < deadline, f"waited too long for {what}: {self.story()}"
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait_ended(self) -> int:
        assert self.process is not None
        return self.process.wait(timeout=STEP_SECONDS_MAX)

    def left(self) -> list[str]:
        """Children that still run."""
        pids = [line[2] for line in self.story() if line[1] == "started"]
        return [pid for pid in pids if self._is_ours(pid)]

    def _is_ours(self, pid: str) -> bool:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return is_running(pid) and os.fsencode(self.directory) in words

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for pid in self.left():
            os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Supervised]:
    supervised = Supervised(tmp_path)
    try:
        yield supervised
    finally:
        supervised.end()


def test_a_child_that_ends_is_started_again_after_growing_pauses(ours):
    dies = ours.tell("last", "dies")
    ours.start()
    ours.until(lambda: len(ours.starts("last")) == 3, "the second restart")
    dies.unlink()
    times = [float(at) for _, _, at in ours.starts("last")]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] >= 1
    assert pauses[1] >= 2
    ours.until(lambda: ours.left() == [str(ours.pid("first")), str(ours.pid("last"))], "it to live")
    assert len(ours.starts("first")) == 1


def test_a_killed_child_is_replaced_and_the_others_stay(ours):
    ours.start()
    os.kill(ours.pid("first"), signal.SIGKILL)
    ours.until(lambda: len(ours.starts("first")) == 2, "the successor")
    assert len(ours.starts("last")) == 1


def test_a_stalled_child_is_ended_before_its_successor_starts(ours):
    ours.start(stall=5)
    stalled = ours.pid("last")
    os.kill(stalled, signal.SIGSTOP)
    ours.until(lambda: len(ours.starts("last")) == 2, "the successor")
    assert not Path(f"/proc/{stalled}").exists()
    assert [company for _, company, _ in ours.starts("last")] == ["alone", "alone"]
    assert len(ours.starts("first")) == 1
    assert ours.happened() == []


def test_sigterm_ends_the_children_one_after_the_other_the_last_one_first(ours):
    ours.start()
    ours.signal(signal.SIGTERM)
    assert ours.wait_ended() == 0
    assert ours.happened() == ["last stopping", "last ended", "first stopping", "first ended"]
    assert ours.left() == []


def test_a_child_that_is_deaf_to_sigterm_is_killed_after_its_time(ours):
    ours.tell("last", "deaf")
    ours.start(stop=1)
    began = time.monotonic()
    ours.signal(signal.SIGTERM)
    assert ours.wait_ended() == 0
    assert time.monotonic() - began >= 1 + KILL_SECONDS
    assert ours.happened() == ["last stopping", "first stopping", "first ended"]
    assert ours.left() == []


def test_a_child_that_is_frozen_while_all_stop_is_killed_after_its_time(ours):
    ours.start(stop=1)
    os.kill(ours.pid("last"), signal.SIGSTOP)
    ours.signal(signal.SIGTERM)
    assert ours.wait_ended() == 0
    assert ours.happened() == ["first stopping", "first ended"]
    assert ours.left() == []


def test_a_second_sigterm_waits_for_nothing(ours):
    ours.tell("last", "slow")
    ours.start()
    ours.signal(signal.SIGTERM)
    ours.until(lambda: ours.happened() == ["last stopping"], "the last child to stop")
    ours.signal(signal.SIGTERM)
    assert ours.wait_ended() == 0
    assert ours.happened()[:3] == ["last stopping", "last hurried", "last ended"]
    assert ours.left() == []


def test_children_whose_supervisor_is_killed_end_by_themselves(ours):
    ours.start()
    ours.signal(signal.SIGKILL)
    ours.wait_ended()
    ours.until(lambda: ours.left() == [], "the children to end")
    assert sorted(ours.happened()) == sorted(
        ["last stopping", "last ended", "first stopping", "first ended"]
    )
