"""One process per directory: the second refuses, whatever the first one's end was."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.ground import FILES_MAX, files_limit, only_process

HOLDER = """
import subprocess, sys
from pathlib import Path
from bot.ground import only_process
with only_process(Path(sys.argv[1]), "`ona work`"):
    # As a hypervisor's, which outlives whoever started it.
    child = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL, close_fds=False)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that holds it, and its child."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process, child
    finally:
        process.kill()
        process.communicate()
        os.kill(child, signal.SIGKILL)


def test_the_second_of_two_workers_on_a_host_directory_refuses_and_names_the_first(
    tmp_path: Path,
) -> None:
    lock = tmp_path / "host" / "work.lock"
    with holder(lock) as (first, _):
        for _ in range(2):
            with (
                pytest.raises(Refused, match=rf"already runs on .*process {first.pid}"),
                only_process(lock, "`ona work`"),
            ):
                pytest.fail("two at once")
        assert first.poll() is None


def test_a_worker_that_was_killed_leaves_its_directory_to_the_next_though_its_machines_run(
    tmp_path: Path,
) -> None:
    lock = tmp_path / "host" / "work.lock"
    with holder(lock) as (first, child):
        first.kill()
        first.wait()
        with only_process(lock, "`ona work`"):
            os.kill(child, 0)
            assert lock.read_text() == f"{os.getpid()}\n"


def test_in_one_process_nobody_gets_it_twice_and_it_is_free_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "work.lock"
    for _ in range(2):
        with only_process(lock, "`ona work`"), pytest.raises(Refused), only_process(lock, "it"):
            pass


FILES = """
import resource, sys
from bot.ground import raise_files_limit
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
raise_files_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_a_process_may_open_as_many_files_as_its_host_lets_it() -> None:
    words = [sys.executable, "-c", FILES, "256", "4096"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["4096", "4096"]


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [
        (1024, 4096, 4096),
        (4096, 4096, 4096),
        (1024, FILES_MAX + 1, FILES_MAX),
        (FILES_MAX + 1, FILES_MAX + 2, FILES_MAX + 1),
    ],
)
def test_it_may_open_up_to_a_limit_of_ours_and_never_fewer_than_before(
    soft: int, hard: int, then: int
) -> None:
    assert files_limit(soft, hard) == then
