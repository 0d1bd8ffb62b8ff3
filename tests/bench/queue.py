"""Throughput of the queue, time to accept, time to claim; each with its yardstick."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import text

from bot.conversation.inbox import Inbox
from bot.conversation.message import IncomingMessage
from bot.store.database import READY, Database, Listener
from bot.store.ids import new_id
from bot.store.states import TurnState
from bot.work.work_queue import WorkQueue
from tests.bench.figures import Figure, percentile, spread
from tests.bench.queue_yardstick import make_app
from tests.bench.sql_by_hand import ByHand

ROOT = Path(__file__).parents[2]
SESSIONS = 40
PROMPTS_EACH = 10
PROCESSES = 4
ROUNDS = 3
ACCEPT_ROUNDS = 20
CLAIMS = 200


class Town:
    """An installation with a person, a project and a host, and nothing else."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(url, connections_max=40)
        self.inbox = Inbox(self.database, prompt_bytes_max=100_000)
        self.person, self.project, self.host = new_id(), new_id(), new_id()

    async def settle(self) -> None:
        async with self.database.begin() as tx:
            await tx.execute(
                text("INSERT INTO person (id, name) VALUES (:id, 'Ann')"), {"id": self.person}
            )
            await tx.execute(
                text(
                    "INSERT INTO project (id, name, repository_url, agent)"
                    " VALUES (:id, 'demo', '/srv/demo', 'shell')"
                ),
                {"id": self.project},
            )
            await tx.execute(
                text(
                    "INSERT INTO host (id, name, driver, accelerator, boot_id, seen_at)"
                    " VALUES (:id, 'here', 'none', 'none', 'b', now())"
                ),
                {"id": self.host},
            )

    def message(self, place: str, said: str = "!true") -> IncomingMessage:
        key = str(uuid4())
        return IncomingMessage(
            surface="terminal",
            delivery_key=key,
            message_key=key,
            place=place,
            person_id=self.person,
            text=said,
        )


def _race(argv: Sequence[Sequence[str]]) -> float:
    """Start the processes, let them go at once, and return the seconds until all ended."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.queue_process", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for arguments in argv
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.wait(timeout=300) == 0
    return time.monotonic() - began


async def throughput(make_url) -> Figure:
    """Prompts a second through claim, begin and outcome, against procrastinate's jobs."""
    ours: list[float] = []
    theirs: list[float] = []
    violations = 0
    total = SESSIONS * PROMPTS_EACH
    for _ in range(ROUNDS):
        town = Town(make_url())
        await town.settle()
        for number in range(total):
            await town.inbox.accept(town.message(f"t{number % SESSIONS}", f"!{number}"))
        seconds = await asyncio.to_thread(
            _race,
            [["ours", town.url, str(town.host), f"w{n}", str(total)] for n in range(PROCESSES)],
        )
        ours.append(total / seconds)
        violations += await _violations(town.database)
        await town.database.close()
        theirs.append(await _procrastinate(make_url(), total))
    ratio = percentile(ours, 0.5) / percentile(theirs, 0.5)
    return Figure(
        name="prompts through the queue, 40 sessions × 10, 4 processes",
        unit="prompts/s",
        **spread(ours),
        yardstick="procrastinate 3.10, a lock per session",
        yardstick_p50=round(percentile(theirs, 0.5), 1),
        ratio=round(ratio, 2),
        target="≥ 2 × and 0 order violations",
        passed=ratio >= 2 and violations == 0,
        note=f"{violations} order violations in {ROUNDS * total} prompts.",
    )


async def _procrastinate(url: str, total: int) -> float:
    app = make_app(url)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for number in range(total):
            await app.configure_task("nothing", lock=f"s{number % SESSIONS}").defer_async(
                number=number
            )
    seconds = await asyncio.to_thread(
        _race, [["procrastinate", url, str(total)] for _ in range(PROCESSES)]
    )
    return total / seconds


async def _violations(database: Database) -> int:
    statement = text(
        """
        SELECT count(*) FROM turn a JOIN prompt p ON p.id = a.prompt_id
          JOIN turn b ON b.session_id = a.session_id JOIN prompt q ON q.id = b.prompt_id
         WHERE p.position < q.position AND b.started_at < a.ended_at
        """
    )
    async with database.begin() as tx:
        return int(await tx.scalar(statement) or 0)


async def accept(make_url) -> list[Figure]:
    """Message in to commit, 50 sessions at once, against the same statements in psycopg."""
    town = Town(make_url())
    await town.settle()
    by_hand = await ByHand.open(town)
    places = [f"place-{n}" for n in range(50)]
    for place in places:
        await town.inbox.accept(town.message(place))
        await by_hand.accept(town.message(f"hand-{place}"))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ACCEPT_ROUNDS):
        messages = [town.message(place) for place in places]
        ours += await asyncio.gather(*(_timed(town.inbox.accept(m)) for m in messages))
        messages = [town.message(f"hand-{place}") for place in places]
        theirs += await asyncio.gather(*(_timed(by_hand.accept(m)) for m in messages))
    await by_hand.close()
    await town.database.close()
    figures = []
    for share, target in ((0.5, 1.5), (0.99, 3.0)):
        ratio = percentile(ours, share) / percentile(theirs, share)
        figures.append(
            Figure(
                name=f"accept, 50 sessions at once (p{share * 100:.0f})",
                unit="ms",
                **spread([value * 1000 for value in ours]),
                yardstick=f"the same statements in psycopg (p{share * 100:.0f})",
                yardstick_p50=round(percentile(theirs, share) * 1000, 2),
                ratio=round(ratio, 2),
                target=f"≤ {target} ×",
                passed=ratio <= target,
            )
        )
    return figures


async def _timed(work) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def claim(make_url) -> Figure:
    """Commit of a prompt to its claim by a waiting worker, against a bare NOTIFY round trip."""
    town = Town(make_url())
    await town.settle()
    ours = await _claims(town)
    theirs = await _notifies(town)
    await town.database.close()
    ratio = percentile(ours, 0.5) / percentile(theirs, 0.5)
    return Figure(
        name="commit → a waiting worker has claimed",
        unit="ms",
        **spread([value * 1000 for value in ours]),
        yardstick="bare NOTIFY round trip",
        yardstick_p50=round(percentile(theirs, 0.5) * 1000, 2),
        ratio=round(ratio, 2),
        target="≤ 3 ×",
        passed=ratio <= 3,
    )


async def _claims(town: Town) -> list[float]:
    listener = Listener(town.url)
    wake = asyncio.Event()
    listener.on(READY, lambda _: wake.set())
    listening = asyncio.create_task(listener.run())
    await listener.listening.wait()
    queue = WorkQueue(town.database, owner="bench", host_id=UUID(str(town.host)), lease_seconds=30)
    times: list[float] = []
    for number in range(CLAIMS):
        wake.clear()
        waiting = asyncio.create_task(_claim_when_hinted(queue, wake))
        await asyncio.sleep(0)
        await town.inbox.accept(town.message(f"claim-{number % 20}"))
        committed = time.perf_counter()
        lease, claimed = await waiting
        times.append(max(0.0, claimed - committed))
        begun = await queue.begin_turn(lease, None)
        assert begun is not None
        await queue.finish(lease, begun[0], TurnState.SUCCEEDED, {})
    listening.cancel()
    return times


async def _claim_when_hinted(queue: WorkQueue, wake: asyncio.Event):
    while True:
        await wake.wait()
        wake.clear()
        lease = await queue.claim()
        if lease is not None:
            return lease, time.perf_counter()
        if await queue.next_due_seconds() is not None:
            wake.set()


async def _notifies(town: Town) -> list[float]:
    conninfo = town.url.replace("postgresql+psycopg://", "postgresql://", 1)
    times: list[float] = []
    async with (
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as hearer,
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as speaker,
    ):
        await hearer.execute("LISTEN bench")
        notices = hearer.notifies()
        for _ in range(CLAIMS):
            hearing = asyncio.ensure_future(anext(notices))
            await asyncio.sleep(0)
            began = time.perf_counter()
            await speaker.execute("NOTIFY bench")
            await hearing
            times.append(time.perf_counter() - began)
        await notices.aclose()  # it holds the connection, which could not be closed
    return times
