"""The chain over the audit; pure: rows in, digests out.

    entry  = number of the row (8 bytes) and SHA-256 of the row as canonical JSON (32 bytes)
    part   = SHA-256 over the entries of one source, in the order of their numbers
    batch  = SHA-256 of the canonical JSON of its number, its time, the digest of the batch before
             and its parts

Canonical JSON: keys sorted, no spaces, UTF-8 without escapes that JSON does not demand, times in
UTC with six digits after the point.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Literal
from uuid import UUID

START = "0" * 64
"""What stands before the first batch."""
ENTRY_BYTES = 40


@dataclass(frozen=True, kw_only=True)
class Part:
    """What of one source is in a batch."""

    session_id: UUID | None
    """Whose events; None: audit events."""
    first: int
    last: int
    entries: bytes

    @property
    def rows(self) -> int:
        """How many rows it has sealed."""
        return len(self.entries) // ENTRY_BYTES


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first row that is not as it was sealed."""

    what: Literal["changed", "removed", "inserted"]
    number: int


def canonical(value: Any) -> bytes:
    """The one way to write a JSON value."""
    said = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
    )
    return said.encode()


def entry(number: int, row: Mapping[str, Any]) -> bytes:
    """What is kept of a row."""
    return number.to_bytes(8, "big", signed=True) + hashlib.sha256(canonical(row)).digest()


def batch_digest(number: int, sealed_at: datetime, previous: str, parts: Sequence[Part]) -> str:
    """The digest of a batch, in hex."""
    whole = {
        "batch": number,
        "sealed_at": sealed_at,
        "previous": previous,
        "parts": [
            {
                "session": part.session_id,
                "first": part.first,
                "last": part.last,
                "rows": part.rows,
                "digest": hashlib.sha256(part.entries).hexdigest(),
            }
            for part in parts
        ],
    }
    return hashlib.sha256(canonical(whole)).hexdigest()


def without(sealed: bytes, gone: Collection[int]) -> bytes:
    """What was sealed, but for the rows with these numbers."""
    kept = (sealed[at : at + ENTRY_BYTES] for at in range(0, len(sealed), ENTRY_BYTES))
    return b"".join(one for one in kept if _number(one) not in gone)


def missing(sealed: bytes, found: Sequence[bytes]) -> set[int]:
    """The numbers of the sealed rows that are not there."""
    there = {_number(one) for one in found}
    numbers = {_number(sealed[at:]) for at in range(0, len(sealed), ENTRY_BYTES)}
    return numbers - there


def difference(sealed: bytes, found: Sequence[bytes]) -> Difference | None:
    """Where the rows that are there differ from what was sealed; both in order of their numbers."""
    kept = [sealed[at : at + ENTRY_BYTES] for at in range(0, len(sealed), ENTRY_BYTES)]
    for before, now in zip_longest(kept, found):
        if before == now:
            continue
        if now is None or (before is not None and _number(before) < _number(now)):
            return Difference(what="removed", number=_number(before))
        if before is None or _number(now) < _number(before):
            return Difference(what="inserted", number=_number(now))
        return Difference(what="changed", number=_number(now))
    return None


def _number(one: bytes) -> int:
    return int.from_bytes(one[:8], "big", signed=True)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no canonical form")
