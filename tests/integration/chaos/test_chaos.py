"""The invariants under processes that are killed and frozen at random points.

    2 In order, one at a time.   3 Fenced.   4 Never run twice.

Real worker processes, a real PostgreSQL, the real guest program (as a process of this host). Once
several workers share sessions without machines; once the one worker of a host has a pool of
machines over a fake driver, and they outlive it. The seed is printed; ONA_TEST_SEED repeats one,
ONA_TEST_CHAOS_PROMPTS sets how many prompts are run.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.guest import hosted_guest
from tests.fakes.process_driver import ProcessDriver

pytestmark = pytest.mark.slow

PROMPTS = int(os.environ.get("ONA_TEST_CHAOS_PROMPTS", "200"))
SEED = int(os.environ.get("ONA_TEST_SEED", random.randrange(10**6)))
SESSIONS = 20
LEASE_SECONDS = 2
BEGUN_SHARE = 0.7
"""Of the blows, those that meet a worker that had come up."""
ROOT = Path(__file__).parents[3]


class Workers:
    """Worker processes that are replaced when they end."""

    def __init__(self, program: str, town, url: str, place: str, *, count: int, log: Path) -> None:
        """`place` is what the program works in: a job server, or a host's directory."""
        self._program = program
        self._arguments = [url, place, str(town.host_id)]
        self._log = log
        self._started = 0
        self._names: dict[int, str] = {}
        self.processes = [self._start(index) for index in range(count)]

    def _start(self, index: int) -> subprocess.Popen[bytes]:
        self._started += 1
        self._names[index] = f"worker-{self._started}"
        arguments = [*self._arguments, self._names[index], str(LEASE_SECONDS)]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", self._program, *arguments],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    async def begun(self, index: int) -> None:
        """Return when this one takes prompts, or has ended."""
        process, name = self.processes[index], f"begun {self._names[index]}\n"
        while process.poll() is None and name not in self._log.read_text(errors="replace"):
            await asyncio.sleep(0.05)

    def kill(self, index: int) -> None:
        self.processes[index].kill()
        self.processes[index].wait()
        self.processes[index] = self._start(index)

    async def freeze(self, index: int, seconds: float) -> None:
        """Let it stand still past its leases; the only one of a host is then replaced."""
        process = self.processes[index]
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        if len(self.processes) == 1:
            self.kill(index)
        else:
            process.send_signal(signal.SIGCONT)

    def hand_over(self, index: int) -> None:
        self.processes[index].terminate()
        self.processes[index].wait()
        self.processes[index] = self._start(index)

    def end(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


async def done(town) -> int:
    return await town.value("SELECT count(*) FROM prompt WHERE state = 'done'")


async def torment(
    town, workers: Workers, dice: random.Random, prompts: int, calm_seconds: tuple[float, float]
) -> None:
    """Kill, freeze and replace workers at random moments until every prompt is done."""
    while await done(town) < prompts:
        index = dice.randrange(len(workers.processes))
        if dice.random() < BEGUN_SHARE:
            # However long a start takes here; else nothing would ever be done.
            await workers.begun(index)
        await asyncio.sleep(dice.uniform(*calm_seconds))
        blow = dice.random()
        if blow < 0.6:
            workers.kill(index)
        elif blow < 0.8:
            await workers.freeze(index, LEASE_SECONDS * 1.5)
        else:
            await asyncio.to_thread(workers.hand_over, index)


def script(file: Path, number: int, dice: random.Random) -> str:
    pause = dice.choice(["", f"sleep {dice.uniform(0, 0.3):.2f};"])
    return f"!echo begin-{number}; {pause} echo {number} >> {file}; echo end-{number}"


async def ask_all(town, directory: Path, dice: random.Random) -> dict[str, list[int]]:
    """Ask PROMPTS prompts in SESSIONS threads; the numbers in the order of asking, by session."""
    expected: dict[str, list[int]] = defaultdict(list)
    for number in range(PROMPTS):
        place = f"thread-{dice.randrange(SESSIONS)}"
        accepted = await town.say(script(directory / place, number, dice), place=place)
        assert accepted.verdict == "prompt"
        expected[place].append(number)
    return expected


async def story(town, place: str) -> tuple[list[int], str]:
    """The event numbers of a thread's session, and everything its turns printed."""
    rows = await town.rows(
        "SELECT number, kind, body->>'text' FROM turn_event"
        " JOIN thread ON thread.session_id = turn_event.session_id"
        " WHERE thread.place = :place ORDER BY number",
        place=place,
    )
    printed = "".join(text for _, kind, text in rows if kind == "output")
    return [number for number, _, _ in rows], printed


async def held(town, directory: Path, workers: Workers, calm_seconds: tuple[float, float]) -> None:
    """Ask, torment, and see that every prompt ran in order, once, and was told whole.

    :param calm_seconds: between two blows, at least and at most
    """
    print(f"ONA_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    try:
        expected = await ask_all(town, directory, dice)
        async with asyncio.timeout(max(500, 2.5 * PROMPTS)):
            await torment(town, workers, dice, PROMPTS, calm_seconds)
    finally:
        workers.end()
    for place, numbers in expected.items():
        ran = [int(line) for line in (directory / place).read_text().split()]
        assert ran == numbers, f"{place}: run in order and once (seed {SEED})"
        event_numbers, printed = await story(town, place)
        assert event_numbers == list(range(1, len(event_numbers) + 1))
        assert printed == "".join(f"begin-{n}\nend-{n}\n" for n in numbers)
    outcomes = await town.rows("SELECT turn.state, count(*) FROM turn GROUP BY turn.state")
    assert outcomes == [("succeeded", PROMPTS)]
    ends = await town.value("SELECT count(*) FROM turn_event WHERE kind = 'turn.ended'")
    assert ends == PROMPTS
    assert await town.rows("SELECT state FROM session WHERE state <> 'idle'") == []


@pytest.mark.timeout(600)
async def test_in_order_fenced_never_run_twice_whatever_happens_to_workers(
    town, database_url, tmp_path
):
    with hosted_guest() as guest:
        place = guest.inside.job_server
        workers = Workers(
            "tests.fakes.work_process",
            town,
            database_url,
            place,
            count=3,
            log=tmp_path / "workers.log",
        )
        await held(town, tmp_path, workers, (0.1, 0.6))


@pytest.fixture
def host_directory() -> Iterator[Path]:
    """Short enough for the sockets of machines; nothing of them is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="ona-host-") as name:
        (Path(name) / "machines").mkdir()
        yield Path(name)
        asyncio.run(_destroy_all(ProcessDriver(Path(name) / "machines")))


async def _destroy_all(driver: ProcessDriver) -> None:
    for sight in await driver.find():
        await driver.destroy(sight.machine_id)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_nothing_leaks_in_order_never_run_twice_whatever_happens_to_a_host(
    town, database_url, tmp_path, host_directory
):
    workers = Workers(
        "tests.fakes.host_process",
        town,
        database_url,
        str(host_directory),
        count=1,
        log=tmp_path / "host.log",
    )
    await held(town, tmp_path, workers, (0.5, 3.0))
    used = await town.rows("SELECT DISTINCT machine_id IS NULL FROM turn")
    assert used == [(False,)], "every turn ran in a machine"
    rows = await town.rows("SELECT id::text FROM machine WHERE state <> 'gone'")
    assert {home.name for home in (host_directory / "machines").iterdir()} == {id for (id,) in rows}
    assert len(rows) <= SESSIONS
