"""The composition root: builds the parts of a process from the settings and runs them.

    serve   pages, API, replies, outbox                  any number of processes
    work    turns, and the machines of this host         one per host: it holds the host's directory

Both hold nothing that matters: everything is in PostgreSQL, and in the machines.
"""

from contextlib import AsyncExitStack

from sqlalchemy import text

from bot.config import Settings
from bot.conversation.inbox import Inbox
from bot.ground import Ground, ground, only_process
from bot.host import Host
from bot.metrics import QUEUE_DEPTH
from bot.work import questions
from scheduler.chores import Chore
from scheduler.leader import Leader

CLOCK_LEASE_SECONDS = 10.0


async def work(settings: Settings, url: str) -> None:
    """Run turns and the machines of this host until SIGTERM. :raises Refused: runs already."""
    with only_process(settings.host_dir / "work.lock", "`ona work`"):
        async with ground(settings, url) as base, AsyncExitStack() as stack:
            host = await Host.open(base, stack)
            await host.worker().run(base.signals.stop)
            if settings.machine.rest_at_stop:
                await host.pool.rest_all()


def inbox_of(base: Ground) -> Inbox:
    """The one way in, for every surface of this process."""
    return Inbox(
        base.database,
        prompt_bytes_max=base.settings.turn.prompt_bytes_max,
        mention=base.settings.mention,
    )


def clock_chores(base: Ground) -> list[Chore]:
    """What one process of the installation does, whoever leads."""
    leader = Leader(
        base.database.begin, name="clock", owner=base.owner, seconds=CLOCK_LEASE_SECONDS
    )

    async def expire_questions() -> None:
        if await leader.lead() is not None:
            async with base.database.begin() as tx:
                await questions.expire(tx)

    async def gauge_queue() -> None:
        async with base.database.begin() as tx:
            depth = await tx.scalar(text("SELECT count(*) FROM session WHERE state = 'queued'"))
        QUEUE_DEPTH.set(depth or 0)

    return [
        Chore(name="questions", seconds=CLOCK_LEASE_SECONDS / 2, run=expire_questions),
        Chore(name="queue_gauge", seconds=15, run=gauge_queue),
    ]
