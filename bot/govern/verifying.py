"""Recomputes the chain over the audit and names the first row that is not as it was sealed.

What it can find: a row that was changed, removed or put between others after it was sealed, a batch
that was altered, and, against a head that was kept elsewhere, a chain that was made anew. What it
can't: rows that were forged before they were sealed, by who may write to the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any
from uuid import UUID

from bot.errors import NotFound
from bot.govern.chain import START, Part, batch_digest, difference, missing, without
from bot.govern.sealing import SQL, audit_entry, session_entry
from bot.store.database import Database
from bot.store.transaction import Transaction

BATCHES_AT_ONCE = 50
ALL_ROWS = 1 << 30
"""More than a part can have."""
BELOW_ALL = -(1 << 62)
"""Below every number, so that what was put before the first row is seen."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """The newest batch: to be kept elsewhere, and compared later."""

    number: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Verified:
    """How far the chain was looked at, and what was found."""

    through: int
    """The last batch that was looked at; 0: there is none."""
    digest: str
    """Its digest."""
    batches: int
    rows: int
    done: bool
    """There is no batch after it."""
    problem: str
    """The first thing that is wrong; empty: nothing."""
    deleted: int
    """Rows that can't be looked at: their session was deleted, or their project keeps them no
    longer, as the audit says."""


async def head(tx: Transaction) -> Head:
    """The newest batch; number 0 before the first."""
    row = (await tx.execute(SQL["last_batch"])).one_or_none()
    return Head(number=0, digest=START) if row is None else Head(number=row[0], digest=row[1])


async def unsealed(tx: Transaction) -> int:
    """How many rows wait to be sealed."""
    return int((await tx.execute(SQL["unsealed"])).scalar_one())


async def start(tx: Transaction) -> tuple[int, str]:
    """The batch after which the chain begins, and its digest."""
    row = (await tx.execute(SQL["first_batch"])).one_or_none()
    if row is None or row.removed_at is None:
        return 0, START
    return row.number, row.digest


async def check_head(tx: Transaction, kept: Head) -> str:
    """What is wrong with the chain by a head that was kept elsewhere; empty: nothing.

    :raises NotFound: the batch was removed by now, so that nothing can be said
    """
    row = (await tx.execute(SQL["known_batch"], {"number": kept.number})).one_or_none()
    if row is not None:
        return "" if row.digest == kept.digest else f"batch {kept.number} has another digest"
    first = (await tx.execute(SQL["first_batch"])).one_or_none()
    if first is not None and kept.number < first.number:
        raise NotFound(
            f"batch {kept.number} was removed, as the audit is kept for a time only",
            do="take a newer head with `ona audit head`",
        )
    return f"there is no batch {kept.number}"


class Verifier:
    """Looks at the chain, a piece at a time."""

    def __init__(self, database: Database) -> None:
        """Read from `database`; nothing is written."""
        self._database = database

    async def look(self, *, after: int | None, seconds: float) -> Verified:
        """Look at the batches behind `after` for about so long; None: from the start.

        :raises NotFound: there is no such batch any more
        """
        until = monotonic() + seconds
        number, previous = await self._begin(after)
        batches = rows = deleted = 0
        if after is None and (problem := await self._stray()):
            return Verified(
                through=number,
                digest=previous,
                batches=0,
                rows=0,
                done=False,
                problem=problem,
                deleted=0,
            )
        while True:
            found = await self._batches(number)
            for batch in found:
                problem = _link(batch, number, previous)
                count, gone = 0, 0
                if not problem:
                    problem, count, gone = await self._contents(batch)
                batches, rows, deleted = batches + 1, rows + count, deleted + gone
                number, previous = batch.number, batch.digest
                if problem or monotonic() > until:
                    break
            else:
                problem = ""
            done = not found
            if problem or done or monotonic() > until:
                return Verified(
                    through=number,
                    digest=previous,
                    batches=batches,
                    rows=rows,
                    done=done,
                    problem=problem,
                    deleted=deleted,
                )

    async def _begin(self, after: int | None) -> tuple[int, str]:
        async with self._database.begin() as tx:
            if after is None:
                return await start(tx)
            row = (await tx.execute(SQL["known_batch"], {"number": after})).one_or_none()
        if row is None and after > 0:
            raise NotFound(f"there is no batch {after}", do="begin at the start")
        return (0, START) if row is None else (row.number, row.digest)

    async def _stray(self) -> str:
        """What is wrong before the start of the chain: all that was there is removed."""
        async with self._database.begin() as tx:
            number = (await tx.execute(SQL["stray"])).scalar_one_or_none()
        return "" if number is None else f"audit event {number} was inserted"

    async def _batches(self, after: int) -> Sequence[Any]:
        async with self._database.begin() as tx:
            wanted = {"after": after, "limit": BATCHES_AT_ONCE}
            return (await tx.execute(SQL["batches"], wanted)).all()

    async def _contents(self, batch: Any) -> tuple[str, int, int]:
        """What is wrong in a batch, how many rows it has, how many of these can't be looked at."""
        async with self._database.begin() as tx:
            found = (await tx.execute(SQL["parts"], {"batch": batch.number})).mappings().all()
            parts = [Part(**row) for row in found]
            digest = batch_digest(batch.number, batch.sealed_at, batch.previous, parts)
            if digest != batch.digest:
                return f"batch {batch.number} itself was changed", 0, 0
            rows = deleted = 0
            for part in parts:
                problem, gone = await _part(tx, part)
                rows, deleted = rows + part.rows, deleted + gone
                if problem:
                    return f"{problem} (batch {batch.number})", rows, deleted
        return "", rows, deleted


def _link(batch: Any, number: int, previous: str) -> str:
    """What is wrong with the place of a batch behind the one before."""
    if batch.number != number + 1:
        return f"batch {number + 1} was removed"
    if batch.previous != previous:
        return f"batch {batch.number} does not follow the one before"
    return ""


async def _part(tx: Transaction, part: Part) -> tuple[str, int]:
    """What is wrong in a part, and how many of its rows can't be looked at."""
    if part.session_id is None:
        entries = await _audit_entries(tx, part)
        gone = await _kept_no_longer(tx, part, entries)
        left = replace(part, entries=without(part.entries, gone)) if gone else part
        return _told(left, entries, "audit event {}"), len(gone)
    row = (await tx.execute(SQL["whose"], {"session": part.session_id})).one()
    if row.short is None:
        if row.deleted:
            return "", part.rows
        return f"session {part.session_id} was removed, and the audit does not say by whom", 0
    entries = await _session_entries(tx, part.session_id, part)
    return _told(part, entries, "event {} of session " + row.short), 0


async def _kept_no_longer(tx: Transaction, part: Part, found: Sequence[bytes]) -> set[int]:
    """The numbers of those that are not there as their project's policy says."""
    lacking = missing(part.entries, found)
    if not lacking:
        return set()
    rows = (await tx.execute(SQL["removed_rows"], {"first": part.first, "last": part.last})).all()
    return {one for one in lacking if any(row.first <= one <= row.last for row in rows)}


def _told(part: Part, entries: Sequence[bytes], name: str) -> str:
    found = difference(part.entries, entries)
    if found is not None:
        return f"{name.format(found.number)} was {found.what}"
    if part.session_id is not None and part.rows != part.last - part.first + 1:
        return f"one of {name.format(f'{part.first} to {part.last}')} was removed early"
    return ""


def _numbers(part: Part) -> dict[str, int]:
    after = part.first - 1 if part.first > 1 else BELOW_ALL
    return {"after": after, "through": part.last, "limit": ALL_ROWS}


async def _audit_entries(tx: Transaction, part: Part) -> Sequence[bytes]:
    rows = (await tx.execute(SQL["audit_rows"], _numbers(part))).mappings()
    return [audit_entry(row) for row in rows]


async def _session_entries(tx: Transaction, session_id: UUID, part: Part) -> Sequence[bytes]:
    wanted = {"session": session_id, **_numbers(part)}
    rows = (await tx.execute(SQL["session_rows"], wanted)).mappings()
    return [session_entry(session_id, row) for row in rows]
