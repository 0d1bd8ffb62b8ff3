"""How much the guest keeps of jobs that have ended."""

import json
from pathlib import Path

import pytest

from vmpool.guest.jobs import Jobs
from vmpool.guest.loop import Loop
from vmpool.guest.settings import Settings


class Small(Settings):
    cgroup_root = None
    ended_jobs_max = 3
    ended_bytes_max = 1_000


def ended(directory: Path, number: int, output: bytes) -> None:
    """A job of an earlier life of the machine, as its guest left it on the disk."""
    job = directory / "jobs" / f"job{number}"
    job.mkdir(parents=True)
    (job / "stdout").write_bytes(output)
    kept = {
        "state": "ended",
        "exit_status": 0,
        "signal": None,
        "failure": None,
        "stopped": False,
        "out_of_memory": False,
        "started_at": float(number),
        "ended_at": float(number),
        "seconds": 0.1,
        "stdout_dropped": 0,
        "stderr_dropped": 0,
    }
    (job / "job.json").write_text(json.dumps(kept))


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        pytest.param([1] * 4, [0, 1, 2, 3], id="as many as are kept, and the newest"),
        pytest.param([1] * 9, [5, 6, 7, 8], id="too many"),
        pytest.param([600, 600, 600, 1], [2, 3], id="too much output"),
        pytest.param([1, 1, 5_000], [0, 1, 2], id="the newest stays, however large"),
        pytest.param([], [], id="none"),
    ],
)
def test_the_oldest_ended_jobs_are_forgotten(
    tmp_path: Path, sizes: list[int], kept: list[int]
) -> None:
    for number, size in enumerate(sizes):
        ended(tmp_path, number, b"x" * size)
    settings = Small(state_directory=str(tmp_path), owns_machine=False)
    jobs = Jobs(Loop(), settings)
    jobs.forget_old()
    assert [job.job_id for job in jobs.all()] == [f"job{number}" for number in kept]
    assert sorted(p.name for p in (tmp_path / "jobs").iterdir()) == [f"job{n}" for n in kept]
