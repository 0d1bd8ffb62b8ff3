"""Rows of the audit that their project's policy keeps no longer, `[retention] audit_days`.

Sealed ones go one by one, wherever they are in the chain: their digests stay in it, and a row of
the audit says which numbers went, by which version of the policy. That row and the one that says
that a session was deleted stay for as long as the installation keeps the audit: verifying relies on
them.
"""

from collections.abc import Sequence

import structlog

from bot.errors import Refused
from bot.govern.audit import HERE, Audited, record
from bot.govern.policy_text import read
from bot.govern.sealing import SQL
from bot.store.transaction import Transaction

log = structlog.get_logger(__name__)

REMOVED_MAX = 500
"""Of one project, in one transaction: their numbers have to fit into a body."""


async def expire_of_projects(tx: Transaction) -> int:
    """Remove some of those that are over; how many it were, 0: none is left."""
    removed = 0
    for row in (await tx.execute(SQL["policies"])).all():
        days = _days(row.source, row.name)
        if days is None:
            continue
        over = {"project": row.project_id, "days": days, "most": REMOVED_MAX}
        numbers = list((await tx.execute(SQL["over"], over)).scalars())
        if not numbers:
            continue
        await tx.execute(SQL["remove_rows"], {"numbers": numbers})
        body = {
            "numbers": spans(numbers),
            "events": len(numbers),
            "days": days,
            "policy": row.version,
        }
        gone = Audited(kind="audit.removed", by=HERE, project_id=row.project_id, body=body)
        await record(tx, gone)
        removed += len(numbers)
    return removed


def spans(numbers: Sequence[int]) -> list[list[int]]:
    """Ascending numbers as pairs of the first and the last of those without a gap."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _days(source: str, name: str) -> int | None:
    try:
        return read(source, name).document.retention.audit_days
    except Refused as error:
        log.warning("policy_not_readable", why=str(error))
        return None
