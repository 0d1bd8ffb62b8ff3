"""Throughput of the queue and time to accept; each with its yardstick."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import text

from bot.store.database import Database
from tests.bench.figures import Figure, percentile, spread
from tests.bench.queue_yardstick import make_app
from tests.bench.sql_by_hand import ByHand
from tests.bench.town import Town, databases

ROOT = Path(__file__).parents[2]
SESSIONS = 40
PROMPTS_EACH = 10
PROCESSES = 4
ROUNDS = 5
LONG_EACH = 50
LONG_ROUNDS = 2
ACCEPT_ROUNDS = 20


@asynccontextmanager
async def _process(arguments: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process that has said it is ready; ended at the latest when it is not needed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench.queue_process", *arguments),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _race(argv: Sequence[Sequence[str]]) -> float:
    """Start the processes, let them go at once, and return the seconds until all are done."""
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(_process(arguments)) for arguments in argv]
        processes = [await process for process in starting]
        began = time.monotonic()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"done\n"
        seconds = time.monotonic() - began
        for process in processes:
            assert await process.wait() == 0
        return seconds


async def throughput() -> list[Figure]:
    """Prompts a second through claim, begin and outcome, against procrastinate's jobs."""
    async with databases() as make_url:
        short, lost = await _compared(make_url, PROMPTS_EACH, ROUNDS)
        long, more_lost = await _compared(make_url, LONG_EACH, LONG_ROUNDS)
    assert short.ratio is not None
    return [
        replace(
            short,
            target="≥ 2 × and 0 order violations",
            passed=short.ratio >= 2 and not lost,
            note=(
                f"{short.note} A prompt here is three durable steps that write its turn and two "
                "events of the log; a job there is two statements and no log."
                + ("" if short.ratio >= 2 else WHY_MISSED)
            ),
        ),
        replace(
            long,
            target="0 order violations",
            passed=not more_lost,
            note=f"{long.note} Their fetch reads every job that waits, ours the sessions.",
        ),
    ]


WHY_MISSED = (
    " Missed because both are bound by the two processors, not by waiting: a prompt's log costs"
    " what a job's order saves."
)


async def _compared(make_url: Callable[[], str], each: int, rounds: int) -> tuple[Figure, int]:
    """The figure, and how many prompts ran out of order."""
    ours: list[float] = []
    theirs: list[float] = []
    violations = 0
    total = SESSIONS * each
    for _ in range(rounds):
        rate, wrong = await _ours(make_url(), total)
        ours.append(rate)
        violations += wrong
        theirs.append(await _procrastinate(make_url(), total))
    figure = Figure(
        name=f"prompts through the queue, {SESSIONS} sessions × {each}, {PROCESSES} processes",
        unit="prompts/s",
        **spread(ours),
        yardstick="procrastinate 3.10, a lock per session",
        yardstick_p50=round(percentile(theirs, 0.5), 1),
        ratio=round(percentile(ours, 0.5) / percentile(theirs, 0.5), 2),
        target="",
        passed=True,
        note=f"{violations} order violations in {rounds * total} prompts.",
    )
    return figure, violations


async def _ours(url: str, total: int) -> tuple[float, int]:
    town = Town(url)
    await town.settle()
    for number in range(total):
        await town.inbox.accept(town.message(f"t{number % SESSIONS}", f"!{number}"))
    seconds = await _race(
        [["ours", url, str(town.host), f"w{n}", str(total)] for n in range(PROCESSES)]
    )
    violations = await _violations(town.database)
    await town.database.close()
    return total / seconds, violations


async def _procrastinate(url: str, total: int) -> float:
    app = make_app(url)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for number in range(total):
            await app.configure_task("nothing", lock=f"s{number % SESSIONS}").defer_async(
                number=number
            )
    seconds = await _race([["procrastinate", url, str(total)] for _ in range(PROCESSES)])
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


async def accept() -> list[Figure]:
    """Message in to commit, 50 sessions at once, against the same statements in psycopg."""
    async with databases() as make_url:
        return await _accept(make_url)


async def _accept(make_url: Callable[[], str]) -> list[Figure]:
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


async def _timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began
