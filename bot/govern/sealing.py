"""Seals the audit and the events of sessions, batch by batch, each on top of the one before.

A number of an audit event may be given to a transaction that commits late. A number is therefore
sealed only once every transaction is over that was under way when it had been given out; whatever
has not committed by then never will. The leader of the clock seals, in the transaction in which it
leads, so that nobody else does at the same time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.govern.audit import HERE, Audited, record
from bot.govern.chain import START, Part, batch_digest, entry
from bot.store.statements import load
from bot.store.transaction import Transaction

log = structlog.get_logger(__name__)

SQL = load(Path(__file__).parent / "sql" / "audit.sql")
ROWS_MAX = 5000
"""Rows in a batch, those of the audit and of sessions each."""
SESSIONS_MAX = 200
"""Sessions in a batch."""
DAY_SECONDS = 86400.0

_NOW = text("SELECT clock_timestamp()")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A number, and the transaction before which all have to be over until it is final."""

    number: int
    before: int


class Sealer:
    """Seals what is final; a restart loses nothing but time."""

    def __init__(self) -> None:
        """Begin without a mark."""
        self._mark: Mark | None = None

    async def final(self, tx: Transaction) -> int | None:
        """The number up to which audit events are final; ask before `tx` writes anything."""
        # Each is a statement of its own: what the second says is newer than what the first said.
        last = int((await tx.execute(SQL["last_number"])).scalar_one())
        own = int((await tx.execute(SQL["own_transaction"])).scalar_one())
        oldest = int((await tx.execute(SQL["oldest_transaction"])).scalar_one())
        if oldest >= own:
            self._mark = None
            return last
        mark = self._mark or Mark(number=last, before=own)
        if oldest < mark.before:
            self._mark = mark
            return None
        self._mark = Mark(number=last, before=own)
        return mark.number

    async def seal(self, tx: Transaction, final: int | None) -> bool:
        """Seal one batch; whether there is more to seal at once."""
        row = (await tx.execute(SQL["last_batch"])).one_or_none()
        number, previous, after = (
            (1, START, 0) if row is None else (row.number + 1, row.digest, row.audit_last)
        )
        through = after if final is None else max(after, final)
        audit, through = await _audit_part(tx, after, through)
        parts, more = await _session_parts(tx)
        if audit is not None:
            parts = [audit, *parts]
        if not parts:
            return False
        sealed_at: datetime = await tx.scalar(_NOW)
        digest = batch_digest(number, sealed_at, previous, parts)
        batch = {"number": number, "sealed_at": sealed_at, "previous": previous, "digest": digest}
        await tx.execute(SQL["add_batch"], {**batch, "audit_last": through})
        for place, part in enumerate(parts):
            await tx.execute(SQL["add_part"], _columns(number, place, part))
            if part.session_id is not None:
                sealed = {"session": part.session_id, "number": part.last}
                await tx.execute(SQL["seal"], sealed)
        log.debug("audit_sealed", batch=number, rows=sum(part.rows for part in parts))
        return more or (audit is not None and audit.rows == ROWS_MAX)


async def expire(tx: Transaction, *, days: float) -> int:
    """Remove the batches that are older than `days`; how many audit events went."""
    seconds = {"seconds": days * DAY_SECONDS}
    row = (await tx.execute(SQL["removable"], seconds)).one_or_none()
    if row is None:
        return 0
    removed: int = await tx.scalar(SQL["remove"], {"through": row.number})
    body = {"through": row.number, "digest": row.digest, "events": removed, "days": days}
    await record(tx, Audited(kind="audit.removed", by=HERE, body=body))
    return removed


def audit_entry(row: Mapping[str, Any]) -> bytes:
    """What is kept of an audit event."""
    return entry(row["number"], row)


def session_entry(session_id: UUID, row: Mapping[str, Any]) -> bytes:
    """What is kept of an event of a session."""
    return entry(row["number"], {**row, "session": session_id})


async def _audit_part(tx: Transaction, after: int, through: int) -> tuple[Part | None, int]:
    """The next audit events, and up to which number nothing is left out."""
    wanted = {"after": after, "through": through, "limit": ROWS_MAX}
    rows = (await tx.execute(SQL["audit_rows"], wanted)).mappings().all()
    if not rows:
        return None, after
    last = rows[-1]["number"] if len(rows) == ROWS_MAX else through
    entries = b"".join(audit_entry(row) for row in rows)
    return Part(session_id=None, first=after + 1, last=last, entries=entries), last


async def _session_parts(tx: Transaction) -> tuple[list[Part], bool]:
    """The next events of sessions; whether there are more."""
    parts: list[Part] = []
    left = ROWS_MAX
    sessions = (await tx.execute(SQL["unsealed_sessions"], {"limit": SESSIONS_MAX})).all()
    for session in sessions:
        if left <= 0:
            return parts, True
        wanted = {"session": session.id, "after": session.after, "through": session.through}
        rows = (await tx.execute(SQL["session_rows"], {**wanted, "limit": left})).mappings().all()
        if rows:
            entries = b"".join(session_entry(session.id, row) for row in rows)
            parts.append(
                Part(
                    session_id=session.id,
                    first=session.after + 1,
                    last=rows[-1]["number"],
                    entries=entries,
                )
            )
        left -= len(rows)
    return parts, len(sessions) == SESSIONS_MAX or left <= 0


def _columns(batch: int, place: int, part: Part) -> Mapping[str, Any]:
    return {
        "batch": batch,
        "place": place,
        "session": part.session_id,
        "first": part.first,
        "last": part.last,
        "entries": part.entries,
    }
