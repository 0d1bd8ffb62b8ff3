"""Posts what automations have to say besides their runs, where their runs are reported."""

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.automate import notices
from bot.conversation.saying import say
from bot.store.transaction import Transaction
from bot.words.catalogue import SOURCE, again, speaking

log = structlog.get_logger(__name__)

_THREADS = text("SELECT id, language FROM thread WHERE id = ANY(:ids) ORDER BY id")


async def tell(tx: Transaction) -> None:
    """Post what nobody was told yet; what has nowhere to go stays on the automation's page."""
    rows = await notices.untold(tx)
    for row in rows:
        threads = (await tx.execute(_THREADS, {"ids": _threads_of(row)})).all()
        for thread in threads:
            with speaking(thread.language or SOURCE):
                await say(tx, thread.id, f"automation:{row.id}", again(row.said))
        if not threads:
            log.info("automation_notice_on_page", automation=row.name)
    await notices.told(tx, [row.id for row in rows])


def _threads_of(row: Any) -> list[UUID]:
    return [UUID(one["thread"]) for one in row.reports or () if one.get("thread")]
