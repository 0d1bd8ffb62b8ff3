"""A fleet of 500 targets, 25 at a time, beside one turn alone; and a person's prompt in its middle.

`ona serve` is the real process. Machines are processes of this host with the real guest program in
them (`tests.bench.fleet_host`): booted, used for one session, rested, removed. There is no
repository in them, neither for the fleet nor for the turn alone.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.automate.definition import Context, Definition, Limits, ShellStep, digest, kept
from bot.automate.runs.beginning import Beginning, Cause
from bot.automate.runs.repositories import KnownRepositories
from bot.conversation.message import IncomingMessage
from bot.store.ids import new_id, new_short
from tests.bench.figures import Figure, percentile, spread
from tests.bench.town import Town, databases
from tests.fakes.process_driver import ProcessDriver

TARGETS = 500
PARALLEL = 25
TURN_SECONDS = 10
ALONE = 5
"""Turns whose middle is the bare turn time."""
PROMPTS = 40
"""Of a person: as many on the idle system as in the middle of the fleet."""
PAUSE_SECONDS = 3.0
WARMING_SECONDS = 15.0
"""After which every place of the fleet is taken."""
SAMPLE_SECONDS = 2.0
RATIO_MAX, PERSON_RATIO_MAX, MEMORY_MIB_MAX = 1.2, 1.5, 300
ROOT = Path(__file__).parents[2]
_PROJECTS = text(
    """
    INSERT INTO project (id, name, repository_url, agent)
    SELECT gen_random_uuid(), 'target-' || n, '/srv/target-' || n, 'shell'
      FROM generate_series(1, :count) AS n
    """
)
_AUTOMATION = text(
    """
    INSERT INTO automation (id, short, project_id, name, definition, digest, state, creator_id,
                            runs_as_id)
    VALUES (:id, :short, :project, :name, CAST(:definition AS jsonb), :digest, 'active', :person,
            :person)
    """
)
_ENDED = text(
    """
    SELECT extract(epoch FROM turn.ended_at - prompt.created_at)::float8 AS seconds, turn.state
      FROM prompt JOIN turn ON turn.prompt_id = prompt.id
     WHERE prompt.id = :prompt AND turn.ended_at IS NOT NULL
    """
)
_RUN = text(
    """
    SELECT run.settled_at IS NOT NULL AS settled, count(*) FILTER (WHERE state = 'done') AS done,
           count(*) AS targets,
           extract(epoch FROM max(run_target.ended_at) - run.created_at)::float8 AS seconds
      FROM run JOIN run_target ON run_target.run_id = run.id WHERE run.id = :run GROUP BY run.id
    """
)


@dataclass
class Plane:
    """The processes that drive a fleet, and when the host claimed which session."""

    town: Town
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    claimed: dict[UUID, asyncio.Future[float]] = field(default_factory=dict)
    listening: asyncio.Task[None] | None = None

    def message(self, place: str, said: str) -> IncomingMessage:
        """A person's, about a project that is not of the fleet."""
        return replace(self.town.message(place, said), project="demo")

    def claim(self, session_id: UUID) -> asyncio.Future[float]:
        return self.claimed.setdefault(session_id, asyncio.get_running_loop().create_future())

    def memory_mib(self) -> dict[str, float]:
        return {name: pss_mib(one.pid) for name, one in self.processes.items()}

    async def listen(self, process: asyncio.subprocess.Process) -> None:
        """Hear what the host says of its claims."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            match line.decode().split():
                case ["claimed", session_id, moment]:
                    one = self.claim(UUID(session_id))
                    if not one.done():
                        one.set_result(float(moment))


def pss_mib(pid: int) -> float:
    """A process's own pages, and its share of those it has in common with others."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


async def measure() -> list[Figure]:
    """A turn alone, prompts on an idle system, then the fleet with the same prompts in it."""
    async with AsyncExitStack() as stack:
        make_url = await stack.enter_async_context(databases())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="")))
        town = Town(make_url())
        stack.push_async_callback(town.database.close)
        await town.settle()
        plane = await stack.enter_async_context(_plane(town, directory))
        alone = [await _turn(town, number) for number in range(ALONE)]
        idle = await _prompts(plane, "idle", PROMPTS)
        run_id = await _begin(town)
        watching = asyncio.create_task(_settled(plane, run_id))
        await asyncio.sleep(WARMING_SECONDS)
        amid = await _prompts(plane, "amid", PROMPTS)
        still = not watching.done()
        run, memory = await watching
    return [_fleet(alone, run), _memory(memory), _person(idle, amid, within=still)]


@asynccontextmanager
async def _plane(town: Town, directory: Path) -> AsyncIterator[Plane]:
    (directory / "m").mkdir()
    plane = Plane(town)
    kept_variables = {k: v for k, v in os.environ.items() if not k.startswith("ONA_")}
    variables = {
        **kept_variables,
        "ONA_DATA_DIR": str(directory / "data"),
        "ONA_DATABASE__URL": town.url,
        "ONA_PORT": "0",
        "ONA_VAULT__EMBEDDED": "false",
        "ONA_AGENTS__DEFAULT": "shell",
    }
    said = (directory / "log").open("wb")
    serve = [sys.executable, "-m", "bot", "serve"]
    host = [sys.executable, "-m", "tests.bench.fleet_host"]
    host += [town.url, str(directory), str(town.host), str(PARALLEL)]
    try:
        plane.processes["serve"] = await asyncio.create_subprocess_exec(
            *serve, cwd=ROOT, env=variables, stdout=said, stderr=said
        )
        plane.processes["work"] = work = await asyncio.create_subprocess_exec(
            *host, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=said
        )
        assert work.stdout is not None
        async with asyncio.timeout(60):
            while await work.stdout.readline() != b"begun\n":
                assert work.returncode is None, (directory / "log").read_text()
        # Ends with what it hears.
        plane.listening = asyncio.create_task(plane.listen(work))
        yield plane
    finally:
        await _end(list(plane.processes.values()))
        said.close()
        await _remove_machines(directory / "m")


async def _end(processes: Sequence[asyncio.subprocess.Process]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            process.terminate()
    for process in processes:
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                await process.wait()
        with suppress(ProcessLookupError):
            process.kill()


async def _remove_machines(root: Path) -> None:
    driver = ProcessDriver(root)
    for sight in await driver.find():
        await driver.destroy(sight.machine_id)


async def _turn(town: Town, number: int) -> float:
    """Seconds from a prompt to its outcome, in a machine of its own, with nothing beside it."""
    accepted = await town.inbox.accept(town.message(f"alone-{number}", f"!sleep {TURN_SECONDS}"))
    async with asyncio.timeout(TURN_SECONDS + 60):
        while True:
            row = (await town.database.run(_ENDED, {"prompt": accepted.prompt_id})).one_or_none()
            if row is not None:
                assert row.state == "succeeded", row
                return float(row.seconds)
            await asyncio.sleep(0.1)


async def _prompts(plane: Plane, name: str, count: int) -> list[float]:
    """Seconds from the message of a person until a worker has claimed its session, each."""
    found = []
    for number in range(count):
        message = plane.message(f"{name}-{number}", "!true")
        began = time.monotonic()
        accepted = await plane.town.inbox.accept(message)
        assert accepted.session_id is not None
        async with asyncio.timeout(60):
            found.append(await plane.claim(accepted.session_id) - began)
        await asyncio.sleep(PAUSE_SECONDS)
    return found


async def _begin(town: Town) -> UUID:
    await town.database.run(_PROJECTS, {"count": TARGETS})
    definition = Definition(
        name="fleet",
        context=Context(projects=tuple(f"target-{n}" for n in range(1, TARGETS + 1))),
        steps=(ShellStep(run=f"sleep {TURN_SECONDS}"),),
        limits=Limits(parallel=PARALLEL, targets=TARGETS),
    )
    row: dict[str, Any] = {
        "id": new_id(),
        "short": new_short("a"),
        "project": town.project,
        "name": definition.name,
        "definition": json.dumps(kept(definition)),
        "digest": digest(definition),
        "person": town.person,
    }
    await town.database.run(_AUTOMATION, row)
    beginning = Beginning(town.database, KnownRepositories({}))
    begun = await beginning.begin(row["id"], Cause(kind="person", key="bench"))
    assert begun.run_id is not None, begun.told
    return begun.run_id


async def _settled(plane: Plane, run_id: UUID) -> tuple[Any, list[dict[str, float]]]:
    """The run when it is over, and what the processes took meanwhile."""
    memory = []
    while True:
        memory.append(plane.memory_mib())
        run = (await plane.town.database.run(_RUN, {"run": run_id})).one()
        if run.settled:
            return run, memory
        await asyncio.sleep(SAMPLE_SECONDS)


def _fleet(alone: Sequence[float], run: Any) -> Figure:
    bare = percentile(alone, 0.5)
    least = TARGETS / PARALLEL * bare
    ratio = round(run.seconds / least, 3)
    return Figure(
        name=f"a fleet of {TARGETS} targets, {PARALLEL} at a time, shell agent, fake machines",
        unit="s",
        n=run.targets,
        p50=round(run.seconds, 1),
        yardstick=f"{TARGETS} ÷ {PARALLEL} × a turn alone",
        yardstick_p50=round(least, 1),
        ratio=ratio,
        target=f"≤ {RATIO_MAX} ×",
        passed=ratio <= RATIO_MAX and run.done == TARGETS,
        note=f"{run.done} of {run.targets} done; a turn alone takes {bare:.2f} s, of which its"
        f" command sleeps {TURN_SECONDS}.",
    )


def _memory(samples: Sequence[dict[str, float]]) -> Figure:
    sums = [sum(one.values()) for one in samples]
    most = max(samples, key=lambda one: sum(one.values()))
    parts = ", ".join(f"{name} {size:.0f} MiB" for name, size in most.items())
    return Figure(
        name="memory (PSS) of serve and work during that fleet",
        unit="MiB",
        **spread(sums),
        yardstick="",
        target=f"≤ {MEMORY_MIB_MAX} MiB together",
        passed=max(sums) <= MEMORY_MIB_MAX,
        note=f"At most {max(sums):.0f} MiB: {parts}.",
    )


def _person(idle: Sequence[float], amid: Sequence[float], *, within: bool) -> Figure:
    ratio = round(percentile(amid, 0.5) / percentile(idle, 0.5), 2)
    outside = "" if within else " The fleet ended before the last of them."
    return Figure(
        name="a person's prompt in the middle of that fleet, accepted and claimed",
        unit="ms",
        **spread([seconds * 1000 for seconds in amid]),
        yardstick="the same on the idle system",
        yardstick_p50=round(percentile(idle, 0.5) * 1000, 2),
        ratio=ratio,
        target=f"≤ {PERSON_RATIO_MAX} ×",
        passed=ratio <= PERSON_RATIO_MAX and within,
        note=f"A quarter of the slots is kept for people.{outside}",
    )
