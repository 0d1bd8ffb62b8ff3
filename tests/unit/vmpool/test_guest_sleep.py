"""What a sleep of the machine does not count as, in the guest program."""

import signal
from pathlib import Path

import pytest

from vmpool.guest import loop as loop_module
from vmpool.guest.job import Job
from vmpool.guest.loop import Loop
from vmpool.guest.settings import Settings

GRACE_SECONDS = 0.3
ASLEEP_SECONDS = 3600.0


class Members:
    """A job's processes, of which one does not end before it is killed."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    def signal(self, _: int | None, number: int) -> None:
        self.signals.append(number)

    def pids(self, _: int | None) -> list[int]:
        return [] if signal.SIGKILL in self.signals else [1]

    def remove(self) -> bool:
        return True


class Clock:
    """The monotonic clock, which jumps by the time asleep."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._asleep = 0.0
        self._real = loop_module.time.monotonic
        monkeypatch.setattr(loop_module.time, "monotonic", lambda: self._real() + self._asleep)

    def sleep(self) -> None:
        self._asleep += ASLEEP_SECONDS


def job_of(loop: Loop, place: Path, members: Members) -> Job:
    settings = Settings(state_directory=str(place), owns_machine=False)
    return Job("job1", str(place), members, settings, awake=loop.awake)  # type: ignore[arg-type]


def test_a_grace_is_time_awake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, loop, members = Clock(monkeypatch), Loop(), Members()
    job = job_of(loop, tmp_path, members)
    job.stop(loop, 30.0, loop.stop)
    clock.sleep()
    loop.later(0.2, loop.stop)
    loop.run()
    assert members.signals == [signal.SIGTERM]
    job.state = "ended"
    job.stop(loop, GRACE_SECONDS, loop.stop)
    loop.run()
    assert members.signals[-1] == signal.SIGKILL


def test_a_job_takes_as_long_as_the_machine_was_awake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, loop = Clock(monkeypatch), Loop()
    job = job_of(loop, tmp_path, Members())
    clock.sleep()
    assert 0 <= job.status()["seconds"] < ASLEEP_SECONDS / 2
