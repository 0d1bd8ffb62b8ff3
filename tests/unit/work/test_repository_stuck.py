"""A remote that never answers: limits that hold even when whoever set them was killed."""

import asyncio
import fcntl
import os
import signal
import sys
from pathlib import Path
from uuid import UUID

import pytest

from bot.errors import Refused
from bot.work.repository import MirrorLimits, Repositories

PROJECT = UUID(int=1)
URL = "ssh://git@forge.example/shop.git"
FETCHER = """
import asyncio, sys
from pathlib import Path
from uuid import UUID
from bot.work.repository import MirrorLimits, Repositories
directory, ssh, url, seconds = sys.argv[1:]
repositories = Repositories(
    Path(directory), MirrorLimits(seconds_max=float(seconds)), {"GIT_SSH_COMMAND": ssh}
)
asyncio.run(repositories.update(UUID(int=1), url))
"""


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    """An SSH that connects and then says nothing."""
    path = tmp_path / "ssh"
    path.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/started\nexec sleep 600\n")
    path.chmod(0o755)
    return path


async def until(condition) -> None:
    async with asyncio.timeout(100):
        while not condition():
            await asyncio.sleep(0.02)


def held(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def alive(started: Path) -> bool:
    return started.exists() and any(runs(pid) for pid in started.read_text().split())


def runs(pid: str) -> bool:
    """Not ended, whether or not somebody asked for its status since."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_remote_that_never_answers_is_given_up_with_all_its_processes(
    ssh: Path, tmp_path: Path
) -> None:
    limits = MirrorLimits(seconds_max=1)
    repositories = Repositories(tmp_path / "mirrors", limits, {"GIT_SSH_COMMAND": str(ssh)})
    with pytest.raises(Refused, match="did not arrive within 1 s"):
        await repositories.update(PROJECT, URL)
    await until(lambda: not alive(tmp_path / "started"))
    # A killed git holds it until its files are closed: whoever comes next waits for that.
    await until(lambda: not held(tmp_path / "mirrors" / f"{PROJECT}.lock"))


async def killed_fetcher(ssh: Path, tmp_path: Path, seconds_max: float) -> Path:
    """The lock of a mirror whose fetcher was killed while the remote kept its git waiting."""
    mirrors = tmp_path / "mirrors"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FETCHER, str(mirrors), str(ssh), URL, str(seconds_max))
    )
    started = tmp_path / "started"
    await until(lambda: started.exists() and started.read_text())
    process.send_signal(signal.SIGKILL)
    await process.wait()
    return mirrors / f"{PROJECT}.lock"


async def test_a_killed_fetchers_git_keeps_the_lock_as_long_as_it_lives(
    ssh: Path, tmp_path: Path
) -> None:
    lock = await killed_fetcher(ssh, tmp_path, seconds_max=600)
    assert held(lock)
    for pid in (tmp_path / "started").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    await until(lambda: not held(lock))


async def test_a_killed_fetchers_git_is_ended_by_a_limit_of_its_own(
    ssh: Path, tmp_path: Path
) -> None:
    lock = await killed_fetcher(ssh, tmp_path, seconds_max=2)
    await until(lambda: not alive(tmp_path / "started"))
    await until(lambda: not held(lock))
