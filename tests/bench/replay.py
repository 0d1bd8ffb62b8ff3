"""A long session of an agent, replayed at once: through harness, events, replies and outbox.

10,000 updates of the protocol, as many as half an hour of work brings: mostly what the agent says
in pieces of a few words, tools with their diffs and ends, plans. A program in a guest process
writes them as fast as it can; all else is this process, with the surface's server in another one.
What is counted is this process's CPU, and how much more memory it holds at its highest than before.
"""

import asyncio
import gc
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import text

from adapters.agent.acp.harness import AcpAgent
from adapters.agent.acp.profiles import Profile
from bot.conversation.inbox import Inbox
from bot.conversation.message import IncomingMessage
from bot.conversation.outbox import Outbox
from bot.conversation.replies import Replies
from bot.govern.agents import Agents
from bot.store.database import CONTROL, EVENTS, OUTBOX, READY, Listener
from bot.work.turn_means import Means, TurnLimits
from bot.work.turns import Turns
from bot.work.work_queue import WorkQueue
from bot.work.worker import Worker, WorkerLimits
from tests.bench.figures import Figure
from tests.bench.town import Town, databases
from tests.fakes.chat import FakeChat
from tests.fakes.guest import hosted_guest
from tests.fakes.guest_workplaces import GuestWorkplaces
from vmpool.ssh import Authority

UPDATES = 10_000
SEED = 4711
CPU_SECONDS_MAX = 5.0
MEMORY_MIB_MAX = 60.0
LOOK_SECONDS = 0.05
LIVE_SECONDS = 0.05
"""Between two edits of the live message, so that there are some in the second that this takes."""
AGENT = Path(__file__).parents[1] / "fakes" / "acp_agent.py"
SERVER = "tests.fakes.chat_process"
ENDED = text("SELECT state FROM turn WHERE state <> 'running'")
LEFT = text("SELECT count(*) FROM reply WHERE state IN ('pending', 'sending')")
WORDS = "the test fails since a lock is taken twice and we wait for ever".split()  # noqa: SIM905


def recording(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Updates as an agent sends them."""
    chance = random.Random(seed)
    tool = 0
    for _ in range(count):
        kind = chance.random()
        if kind < 0.72:
            yield _said("agent_message_chunk", chance)
        elif kind < 0.82:
            yield _said("agent_thought_chunk", chance)
        elif kind < 0.9:
            tool += 1
            yield _tool(tool, chance)
        elif kind < 0.98 and tool:
            yield {
                "sessionUpdate": "tool_call_update",
                "toolCallId": f"c{tool}",
                "status": chance.choice(("in_progress", "completed")),
            }
        else:
            entries = [{"content": f"step {n}", "status": "pending"} for n in range(6)]
            yield {"sessionUpdate": "plan", "entries": entries}


def _said(kind: str, chance: random.Random) -> dict[str, Any]:
    said = " ".join(chance.choices(WORDS, k=4)) + " "
    return {"sessionUpdate": kind, "content": {"type": "text", "text": said}}


def _tool(number: int, chance: random.Random) -> dict[str, Any]:
    lines = [f"line {n} = {chance.random()}" for n in range(40)]
    changed = [*lines[:20], "changed = True", *lines[21:]]
    diff = {
        "type": "diff",
        "path": f"src/module_{number % 30}.py",
        "oldText": "\n".join(lines),
        "newText": "\n".join(changed),
    }
    return {
        "sessionUpdate": "tool_call",
        "toolCallId": f"c{number}",
        "title": f"Edit src/module_{number % 30}.py",
        "status": "pending",
        "content": [diff] if number % 2 else [],
    }


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="replay-") as place:
        tape = Path(place) / "tape"
        with tape.open("w") as file:
            for update in recording(UPDATES, SEED):
                file.write(json.dumps(update) + "\n")
        async with databases() as make_url:
            town = Town(make_url())
            await town.settle()
            cpu, wall, memory, edits = await _replayed(town, Path(place), tape)
            await town.database.close()
    return _figures(cpu, wall, memory, edits)


def _figures(cpu: float, wall: float, memory: float, edits: int) -> list[Figure]:
    about = f"{UPDATES:,} updates of an agent through harness, events, replies and outbox"
    note = f"Taken in {wall:.1f} s, with {edits} requests to the surface."
    return [
        Figure(
            name=f"{about}: CPU",
            unit="s",
            n=1,
            p50=round(cpu, 2),
            yardstick="none",
            target=f"≤ {CPU_SECONDS_MAX:g} s",
            passed=cpu <= CPU_SECONDS_MAX,
            note=note,
        ),
        Figure(
            name=f"{about}: memory above idle",
            unit="MiB",
            n=1,
            p50=round(memory, 1),
            yardstick="none",
            target=f"≤ {MEMORY_MIB_MAX:g} MiB",
            passed=memory <= MEMORY_MIB_MAX,
            note=note,
        ),
    ]


async def _replayed(town: Town, place: Path, tape: Path) -> tuple[float, float, float, int]:
    environment = {"ACP_HOME": str(place)}
    agent = AcpAgent(
        Profile(name="taped", argv=(sys.executable, str(AGENT)), environment=environment)
    )
    inbox = Inbox(town.database, prompt_bytes_max=10_000, agents=Agents(names=("taped", "shell")))
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", SERVER, stdin=-1, stdout=-1)
    assert server.stdout is not None
    port = FakeChat((await server.stdout.readline()).decode().strip())
    stop = asyncio.Event()
    listener = Listener(town.url, READY, CONTROL, EVENTS, OUTBOX)
    with hosted_guest() as guest:
        channel = await guest.open(await Authority.load(place / "ca"))
        places = GuestWorkplaces(channel, str(place))
        working = _working(town, places, agent, (listener, port), stop)
        tasks = [asyncio.create_task(one) for one in working]
        await listener.listening.wait()
        try:
            await _turn(town, inbox, "agent=taped say warm")
            gc.collect()
            held = [_resident()]
            tasks.append(asyncio.create_task(_watch(held)))
            began, used = time.monotonic(), time.process_time()
            await _turn(town, inbox, f"replay {tape}")
            used, took = time.process_time() - used, time.monotonic() - began
        finally:
            stop.set()
            for task in (tasks[0], tasks[-1]):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await channel.close()
            edits = await _ended(server)
            await port.close()
    return used, took, max(held) - held[0], edits


def _working(
    town: Town,
    places: GuestWorkplaces,
    agent: AcpAgent,
    reached: tuple[Listener, FakeChat],
    stop: asyncio.Event,
) -> Iterator[Coroutine[Any, Any, None]]:
    """What `ona work` and `ona serve` do, in one process."""
    queue = WorkQueue(town.database, owner="bench", host_id=town.host, lease_seconds=30)
    limits = TurnLimits(seconds_max=600, output_bytes_max=1 << 20, question_seconds_max=60)
    turns = Turns(Means(queue=queue, workplaces=places, agents={agent.name: agent}, limits=limits))
    bounds = WorkerLimits(turns_max=1, poll_seconds=1, finish_seconds=0)
    listener, port = reached
    surfaces = {"chat": port}
    yield listener.run()
    yield Worker(queue, turns, listener, bounds).run(stop)
    yield Replies(town.database, surfaces, listener=listener, live_seconds=LIVE_SECONDS).run(stop)
    yield Outbox(
        town.database, surfaces, sender="bench", listener=listener, live_seconds=LIVE_SECONDS
    ).run(stop)


async def _turn(town: Town, inbox: Inbox, said: str) -> None:
    """One prompt until its turn has ended and all of it is posted."""
    message = town.message("bench", said)
    before = len((await town.database.run(ENDED)).all())
    accepted = await inbox.accept(
        IncomingMessage(**{**vars(message), "surface": "chat", "place": "bench"})
    )
    assert accepted.verdict != "refused", accepted.text
    while len((await town.database.run(ENDED)).all()) == before:
        await asyncio.sleep(0.2)
    while (await town.database.run(LEFT)).scalar_one():
        await asyncio.sleep(0.2)


async def _watch(held: list[float]) -> None:
    while True:
        held.append(_resident())
        await asyncio.sleep(LOOK_SECONDS)


def _resident() -> float:
    """MiB that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


async def _ended(server: asyncio.subprocess.Process) -> int:
    """End the surface's server; how much it was asked."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.close()
    with suppress(ValueError):
        return int((await server.stdout.read()).decode().split()[-1])
    return 0
