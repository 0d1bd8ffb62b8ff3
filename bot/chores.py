"""What `ona serve` does on a clock: what is over is forgotten, sealed, swept and counted."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy import text

from bot.automate import forgetting, notices
from bot.automate.reminders import reminder_rows
from bot.automate.triggers import events, hook_intake
from bot.conversation import automation_notices, keeping
from bot.govern.audit_retention import expire_of_projects
from bot.govern.grants import Grants
from bot.govern.sealing import Sealer, expire
from bot.metrics import QUEUE_DEPTH
from bot.store.database import Database, may_pass
from bot.store.transaction import Transaction
from bot.work import expiring, questions
from scheduler.chores import Chore, run_chores
from scheduler.leader import Leader

log = structlog.get_logger(__name__)

CLOCK_LEASE_SECONDS = 10.0
SEAL_SECONDS = 5.0
"""Between two batches of the audit."""
RETENTION_SECONDS = 3600.0
PARKED_SECONDS = 600.0
"""Between two looks for parked messages that are too old."""
NOTICES_SECONDS = 5.0
"""Between two looks for what automations have to say."""
Act = Callable[[Transaction], Awaitable[object]]
"""Part of the transaction in which it is known who leads."""
_QUEUED = text("SELECT count(*) FROM session WHERE state = 'queued'")


async def run_clock(
    database: Database,
    owner: str,
    stop: asyncio.Event,
    *,
    grants: Grants | None = None,
    audit_days: float = 0,
    tell: Act = automation_notices.tell,
) -> None:
    """Do until `stop` what one process of the installation does, whoever leads; then resign.

    :param grants: swept here too, so that they end when no `ona work` is left
    :param tell: posts what automations have to say
    """
    leader = Leader(name="clock", owner=owner, seconds=CLOCK_LEASE_SECONDS)

    def led(act: Act) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            async with database.begin() as tx:
                if await leader.lead(tx) is not None:
                    await act(tx)

        return run

    async def gauge_queue() -> None:
        async with database.begin() as tx:
            QUEUE_DEPTH.set(await tx.scalar(_QUEUED) or 0)

    async def expire_sessions() -> None:
        more = 1
        while more and not stop.is_set():
            async with database.begin() as tx:
                more = await expiring.expire(tx) if await leader.lead(tx) is not None else 0

    chores = [
        Chore(name="questions", seconds=CLOCK_LEASE_SECONDS / 2, run=led(questions.expire)),
        Chore(name="parked_messages", seconds=PARKED_SECONDS, run=led(keeping.expire)),
        Chore(name="unsaved_reminders", seconds=PARKED_SECONDS, run=led(reminder_rows.expire)),
        Chore(name="automation_notices", seconds=NOTICES_SECONDS, run=led(tell)),
        Chore(name="trigger_events", seconds=RETENTION_SECONDS, run=led(_expire_events)),
        Chore(name="session_retention", seconds=RETENTION_SECONDS, run=expire_sessions),
        *_audit_chores(database, leader, stop, days=audit_days),
        Chore(name="queue_gauge", seconds=15, run=gauge_queue),
    ]
    if grants is not None:
        chores.append(grants.sweeping())
    await run_chores(chores, stop)
    await _resign(database, leader)


async def _expire_events(tx: Transaction) -> None:
    await events.expire(tx)
    await notices.expire(tx)
    await hook_intake.forget_buckets(tx)
    await forgetting.forget(tx)


async def _resign(database: Database, leader: Leader) -> None:
    try:
        async with database.begin() as tx:
            await leader.resign(tx)
    except Exception as error:
        if not may_pass(error):
            raise
        log.warning("clock_not_resigned", error=str(error))


def _audit_chores(
    database: Database, leader: Leader, stop: asyncio.Event, *, days: float
) -> list[Chore]:
    """Seal the audit, and remove what is older than `days`; 0: keep it.

    What a project keeps for a shorter time goes by its policy.
    """
    sealer = Sealer()

    async def seal_audit() -> None:
        more = True
        while more and not stop.is_set():
            async with database.begin() as tx:
                final = await sealer.final(tx)
                more = await leader.lead(tx) is not None and await sealer.seal(tx, final)

    async def expire_audit() -> None:
        async with database.begin() as tx:
            if days and await leader.lead(tx) is not None:
                await expire(tx, days=days)
        more = 1
        while more and not stop.is_set():
            async with database.begin() as tx:
                more = await expire_of_projects(tx) if await leader.lead(tx) is not None else 0

    return [
        Chore(name="audit", seconds=SEAL_SECONDS, run=seal_audit),
        Chore(name="audit_retention", seconds=RETENTION_SECONDS, run=expire_audit),
    ]
