"""Sessions that nobody used for as long as their project keeps them: deleted, as by a person.

A project's policy says for how many days (`[retention] session_days`); none that says nothing loses
any. A session that has something to do, or a machine that runs, is used.
"""

from pathlib import Path

import structlog

from bot.errors import Refused
from bot.govern.audit import HERE, Audited, record
from bot.govern.policy_text import read
from bot.store.statements import load
from bot.store.transaction import Transaction
from bot.work.deleting import delete

log = structlog.get_logger(__name__)

SQL = load(Path(__file__).parent / "sql" / "deleting.sql")
SESSIONS_MAX = 20
"""Of one project, in one transaction."""


async def expire(tx: Transaction) -> int:
    """Begin to delete some of those that are over; how many it were, 0: none is left."""
    begun = 0
    for row in (await tx.execute(SQL["policies"])).all():
        days = _days(row.source, row.name)
        if days is None:
            continue
        unused = {"project": row.project_id, "days": days, "most": SESSIONS_MAX}
        for session in (await tx.execute(SQL["unused"], unused)).all():
            await delete(tx, session.id, None)
            event = Audited(
                kind="session.expired",
                by=HERE,
                place=session.short,
                session_id=session.id,
                project_id=row.project_id,
                body={"days": days, "policy": row.version},
            )
            await record(tx, event)
            begun += 1
    return begun


def _days(source: str, name: str) -> int | None:
    """For how long a policy keeps sessions; None: for as long as nobody deletes them."""
    try:
        return read(source, name).document.retention.session_days
    except Refused as error:
        log.warning("policy_not_readable", why=str(error))
        return None
