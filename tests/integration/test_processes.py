"""What `ona up` says of the processes that it keeps alive, to who runs it and to who asks."""

import asyncio
import fcntl
import sys
from contextlib import contextmanager

import pytest

from bot.config import Settings
from bot.doctor.finding import Verdict
from bot.doctor.installation import check_processes
from bot.processes import Overseer, ended, running
from bot.supervisor import Child, Supervisor
from tests.integration.surfaces.terminal import command

FAILS = "print('the first line'); import sys; sys.exit('the port is taken')"
LIVES = "import os, time\nwhile True: os.write(int(os.environ['ONA_BEAT_FD']), b'.'); time.sleep(1)"


def child(name, directory, program) -> Child:
    argv = [sys.executable, "-c", program]
    return Child(name=name, argv=argv, log=directory / f"{name}.log")


@contextmanager
def up_runs(directory):
    """As if `ona up` held its lock."""
    with (directory / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
async def supervised(tmp_path):
    """A process that lives and one that ends, and what is said of them."""
    said: list[str] = []
    children = [child("serve", tmp_path, FAILS), child("work", tmp_path, LIVES)]
    supervisor = Supervisor(children, Overseer(tmp_path, said.append))
    stop = asyncio.Event()
    keeping = asyncio.create_task(supervisor.run(stop))
    with up_runs(tmp_path):
        yield said
        stop.set()
        await keeping


async def until(true, seconds=30):
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.05)


async def test_a_process_that_keeps_ending_is_told_with_its_last_words(supervised, tmp_path):
    await until(lambda: supervised)
    told = "\n".join(supervised)
    assert "`ona serve` ended 3 times within 60 s, the last time by exit status 1" in told
    assert told.count("    the port is taken") == 1
    assert "`ona doctor`" in told
    assert str(tmp_path / "serve.log") in told
    assert "work" not in told


async def test_a_process_that_does_not_stop_is_killed_and_that_is_said_in_words(tmp_path):
    said: list[str] = []
    slow = child(
        "work",
        tmp_path,
        f"import signal; signal.signal(15, signal.SIG_IGN); print('ignores', flush=True)\n{LIVES}",
    )
    slow.stop_seconds = 0
    supervisor, stop = Supervisor([slow], Overseer(tmp_path, said.append)), asyncio.Event()
    keeping = asyncio.create_task(supervisor.run(stop))
    await until(lambda: slow.log.exists() and "ignores" in slow.log.read_text())
    stop.set()
    await keeping
    assert said == [
        "`ona work` did not stop within 0 s and was killed; "
        "the next start goes on with what it was doing."
    ]


async def test_what_runs_and_since_when_is_told_to_who_asks(supervised, tmp_path):
    await until(lambda: len(running(tmp_path) or []) == 2 and running(tmp_path)[0].restarts == 1)
    serve, work = running(tmp_path)
    assert serve.ended == "exit status 1"
    assert (work.pid is not None, work.restarts, work.ended) == (True, 0, "")
    found = await check_processes(Settings(data_dir=tmp_path))
    assert "work since 20" in found.found
    async with command("status", home=tmp_path, given="") as asked:
        assert await asked.end() in {0, 3}
    assert "serve" in asked.said
    assert "work     runs" in asked.said


async def test_what_does_not_run_is_said_with_where_to_look(tmp_path):
    assert running(tmp_path) is None
    found = await check_processes(Settings(data_dir=tmp_path))
    assert (found.verdict, found.found) == (Verdict.FINE, "`ona up` does not run here")
    overseer = Overseer(tmp_path, print)
    dead = child("serve", tmp_path, FAILS)
    dead.status = -9
    overseer.changed([dead])
    assert running(tmp_path) is None, "its lock is not held"
    with up_runs(tmp_path):
        found = await check_processes(Settings(data_dir=tmp_path))
    assert found.verdict is Verdict.LESS
    assert found.found == "serve does not run, its last life ended by SIGKILL"
    assert "serve.log" in found.do
    assert ended(-200) == "signal 200"
