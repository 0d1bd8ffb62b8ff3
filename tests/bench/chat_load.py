"""Events of Slack until they are acknowledged, under load, with Slack's limits enforced.

`ona serve` is a real process, connected over Socket Mode to the fake Slack in this one. People talk
at 20 events a second while 20 turns write output and their live messages are edited; then comes a
burst of 200 a second. The yardstick is the bare SDK, whose handler does nothing, in the same run.
ONA_BENCH_CHAT_SECONDS says for how long the load lasts: 600 if it is not set.
"""

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import TextClause, text

from bot.store.database import Database
from bot.work.lease import Lease, OpenTurn
from bot.work.queue import Event
from bot.work.work_queue import WorkQueue
from tests.bench.figures import Figure, Spread, percentile, spread
from tests.bench.slack_town import Town, listening, town
from tests.bench.town import Town as Installation
from tests.bench.town import databases
from tests.fakes.slack.delivery import Delivery

SECONDS = float(os.environ.get("ONA_BENCH_CHAT_SECONDS", "600"))
A_SECOND, BURST_A_SECOND, BURST_SECONDS = 20.0, 200.0, 10.0
BARE_SECONDS = 30.0
TURNS, OUTPUT_SECONDS = 20, 1.0
ASKED_EVERY = 100
"""Of so many events one is a prompt, which is two of them: 12 prompts a minute."""
AFTER_SECONDS_MAX = 60.0
"""For what is queued at the end of the load to be sent."""
BEGUN_SECONDS_MAX = 300.0
"""For the signs at the prompts that the turns began with: Slack bears few a minute."""
ACK_SECONDS_MAX, ACK_SECONDS_P99 = 3.0, 0.3
BURST_OVER_SECONDS = 180.0

_LEFT = text(
    """
    SELECT count(*) FROM reply
     WHERE state IN ('pending', 'sending') AND (kind NOT IN ('live', 'phase') OR posted_ref IS NULL)
    """
)
_PROMPTS = text("SELECT count(*) FROM prompt")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What came of the events of one load, in seconds each."""

    took: Sequence[float]
    tries: int
    lost: int

    @classmethod
    def of(cls, deliveries: Sequence[Delivery]) -> "Run":
        return cls(
            took=[one.acked_at - one.sent_at for one in deliveries if one.acked],
            tries=sum(len(one.attempts) for one in deliveries),
            lost=sum(not one.acked for one in deliveries),
        )

    @property
    def in_time(self) -> bool:
        return not self.lost and self.tries == len(self.took) and max(self.took) <= ACK_SECONDS_MAX


async def measure() -> list[Figure]:
    bare, bare_burst = await _bare()
    async with databases() as make_url:
        installation = Installation(make_url())
        await installation.settle()
        try:
            return await _ours(installation, bare, bare_burst)
        finally:
            await installation.database.close()


async def _bare() -> tuple[Run, Run]:
    """The same load on a handler that does nothing."""
    async with town() as people:
        words = (people.bot.token, people.app_token, people.slack.api_url)
        async with listening(people, "tests.bench.bare_slack", *words):
            load = await people.talk(A_SECOND, min(SECONDS, BARE_SECONDS), asked_every=ASKED_EVERY)
            await people.acknowledged(ACK_SECONDS_MAX)
            burst = await people.talk(BURST_A_SECOND, BURST_SECONDS, asked_every=ASKED_EVERY)
            await people.acknowledged(BURST_OVER_SECONDS)
            return Run.of(load), Run.of(burst)


async def _ours(installation: Installation, bare: Run, bare_burst: Run) -> list[Figure]:
    database = installation.database
    with tempfile.TemporaryDirectory(prefix="chat-load-") as place:
        async with (
            town() as people,
            listening(people, "bot", "serve", **_settings(people, installation.url, place)),
            _turns(installation, people),
        ):
            await _until_sent(database, BEGUN_SECONDS_MAX)
            used = people.slack.limits.used
            used.clear()
            load = Run.of(await people.talk(A_SECOND, SECONDS, asked_every=ASKED_EVERY))
            ended = time.monotonic()
            left = await _until_sent(database)
            drained = time.monotonic() - ended
            refused = dict(people.slack.limits.refused)
            edits = used["chat.update"]
            burst = await people.talk(BURST_A_SECOND, BURST_SECONDS, asked_every=ASKED_EVERY)
            await people.acknowledged(BURST_OVER_SECONDS)
            kept = await _until_kept(database, people.asked)
    note = (
        f"{load.tries} deliveries of {len(load.took) + load.lost} events, slowest"
        f" {max(load.took) * 1000:.0f} ms; {edits} edits of {TURNS} live messages in"
        f" {SECONDS:g} s; refused by Slack: {refused or 'nothing'}; {left} replies waited"
        f" {drained:.0f} s after the end."
    )
    return [
        _loaded(load, bare, note, is_calm=not refused and left == 0),
        _burst(Run.of(burst), bare_burst, kept=kept),
    ]


def _loaded(ours: Run, bare: Run, note: str, *, is_calm: bool) -> Figure:
    p99 = percentile(ours.took, 0.99)
    return Figure(
        name=f"event of Slack → acknowledged, {A_SECOND:g} a second, {TURNS} turns editing",
        target="p99 ≤ 300 ms, all ≤ 3 s at the first try, no 429, nothing left queued",
        passed=ours.in_time and p99 <= ACK_SECONDS_P99 and is_calm,
        note=note,
        **_beside(ours, bare),
    )


def _burst(ours: Run, bare: Run, *, kept: bool) -> Figure:
    again = ours.tries - len(ours.took)
    return Figure(
        name=f"the same in a burst of {BURST_A_SECOND:g} a second for {BURST_SECONDS:g} s",
        target="nothing lost",
        passed=not ours.lost and kept,
        note=f"{ours.lost} lost, {again} delivered again; every prompt kept: {kept}.",
        **_beside(ours, bare),
    )


class Beside(Spread):
    """The figure of one load, with the yardstick's."""

    unit: str
    yardstick: str
    yardstick_p50: float
    ratio: float


def _beside(ours: Run, bare: Run) -> Beside:
    theirs = percentile(bare.took, 0.5)
    return {
        "unit": "ms",
        **spread([took * 1000 for took in ours.took]),
        "yardstick": "the bare SDK, whose handler does nothing",
        "yardstick_p50": round(theirs * 1000, 1),
        "ratio": round(percentile(ours.took, 0.5) / theirs, 2),
    }


def _settings(people: Town, url: str, place: str) -> dict[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {
        "ONA_DATABASE__URL": url,
        "ONA_DATA_DIR": place,
        "ONA_PORT": str(port),
        "ONA_SLACK__BOT_TOKEN": people.bot.token,
        "ONA_SLACK__APP_TOKEN": people.app_token,
        "ONA_SLACK__API_URL": people.slack.api_url,
    }


@asynccontextmanager
async def _turns(installation: Installation, people: Town) -> AsyncIterator[None]:
    """Sessions in threads of their own, each with a turn that writes output all the time."""
    for number in range(TURNS):
        channel = people.channels[number % len(people.channels)]
        people.threads.append((channel, people.ask(channel, people.people[number])))
    await people.acknowledged(AFTER_SECONDS_MAX)
    queue = WorkQueue(
        installation.database, owner="bench", host_id=installation.host, lease_seconds=7200
    )
    writing = []
    for _ in range(TURNS):
        lease = await queue.claim()
        assert lease is not None
        turn = await queue.begin_turn(lease, None)
        assert turn is not None
        writing.append(asyncio.create_task(_write(queue, lease, turn)))
    try:
        yield
    finally:
        for one in writing:
            one.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*writing)


async def _write(queue: WorkQueue, lease: Lease, turn: OpenTurn) -> None:
    batch = 0
    while True:
        batch += 1
        output = Event(kind="output", body={"stream": "stdout", "text": f"line {batch}\n"})
        await queue.record(lease, turn, [output], batch=batch)
        await asyncio.sleep(OUTPUT_SECONDS)


async def _until_sent(database: Database, seconds: float = AFTER_SECONDS_MAX) -> int:
    """Wait until what is final was sent; how many were not in time."""
    begin = time.monotonic()
    while left := await _count(database, _LEFT):
        if time.monotonic() - begin > seconds:
            break
        await asyncio.sleep(0.5)
    return left


async def _until_kept(database: Database, asked: int) -> bool:
    """Wait until there is a prompt for each message that was one."""
    begin = time.monotonic()
    while await _count(database, _PROMPTS) < asked:
        if time.monotonic() - begin > AFTER_SECONDS_MAX:
            return False
        await asyncio.sleep(0.5)
    return True


async def _count(database: Database, statement: TextClause) -> int:
    return int((await database.run(statement)).scalar_one())
