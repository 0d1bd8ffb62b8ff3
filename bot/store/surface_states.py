"""Whether surfaces are heard: each process writes what it knows, any of them tells.

A row of a process that was not seen for SILENT_SECONDS says nothing any more.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import text

from adapters.listening import Condition
from bot.store.database import Database
from bot.store.transaction import Transaction

REPORT_SECONDS = 10.0
SILENT_SECONDS = 3 * REPORT_SECONDS
FORGOTTEN_SECONDS = 3600.0

_PUT = text(
    """
    INSERT INTO surface_state AS known (surface, owner, state, why, mode, delay_seconds)
    SELECT surface, :owner, state, why, mode, delay_seconds
      FROM jsonb_to_recordset(CAST(:rows AS jsonb))
           AS said(surface text, state text, why text, mode text, delay_seconds float)
        ON CONFLICT (surface, owner) DO UPDATE
       SET state = excluded.state, why = excluded.why, mode = excluded.mode,
           delay_seconds = excluded.delay_seconds, seen_at = now(),
           at = CASE WHEN known.state = excluded.state THEN known.at ELSE now() END
    """
)
_FORGET = text(
    """
    DELETE FROM surface_state
     WHERE owner = :owner OR seen_at < now() - make_interval(secs => :seconds)
    """
)
_SEEN = text(
    """
    SELECT surface, owner, state, why, mode, delay_seconds, at FROM surface_state
     WHERE seen_at > now() - make_interval(secs => :seconds)
    """
)
_UNSENT = text(
    """
    SELECT thread.surface, count(*) AS replies, min(reply.created_at) AS since
      FROM reply JOIN thread ON thread.id = reply.thread_id
     WHERE reply.state IN ('pending', 'sending') AND reply.posted_ref IS NULL
     GROUP BY thread.surface
    """
)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a process says of one surface."""

    surface: str
    state: Condition
    why: str = ""
    mode: str = ""
    delay_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Seen(Said):
    """The same with who says it."""

    owner: str
    at: datetime
    """Since when it is so."""


@dataclass(frozen=True, kw_only=True)
class SurfaceStatus:
    """What all processes together say of one surface."""

    surface: str
    state: Condition | None
    """None: no process says anything."""
    why: str = ""
    since: datetime | None = None
    mode: str = ""
    delay_seconds: float = 0.0
    unsent: int = 0
    """Replies that wait to be posted there."""
    unsent_since: datetime | None = None
    """Since when the oldest of them does."""
    processes: tuple[Seen, ...] = ()


async def put(database: Database, owner: str, said: Collection[Said]) -> None:
    """Write down what a process says now."""
    rows = json.dumps([asdict(one) for one in said])
    await database.run(_PUT, {"owner": owner, "rows": rows})


async def forget(database: Database, owner: str) -> None:
    """A process ends: what it said counts no longer, nor what was said long ago."""
    await database.run(_FORGET, {"owner": owner, "seconds": FORGOTTEN_SECONDS})


async def statuses(tx: Transaction, surfaces: Collection[str]) -> Sequence[SurfaceStatus]:
    """What is known of each of the surfaces, in their order."""
    rows = (await tx.execute(_SEEN, {"seconds": SILENT_SECONDS})).mappings()
    seen = [Seen(**{**row, "state": Condition(row["state"])}) for row in rows]
    unsent = {row["surface"]: row for row in (await tx.execute(_UNSENT)).mappings()}
    return [
        judged(name, [one for one in seen if one.surface == name], unsent.get(name, {}))
        for name in surfaces
    ]


def judged(surface: str, seen: Sequence[Seen], unsent: Mapping[str, object]) -> SurfaceStatus:
    """The whole of what processes say: one that listens is enough; pure."""
    ordered = sorted(seen, key=lambda one: (list(Condition).index(one.state), one.at))
    waiting = {"unsent": unsent.get("replies", 0), "unsent_since": unsent.get("since")}
    if not ordered:
        return SurfaceStatus(surface=surface, state=None, **waiting)  # type: ignore[arg-type]
    best = ordered[0]
    return SurfaceStatus(
        surface=surface,
        state=best.state,
        why=best.why,
        since=best.at,
        mode=best.mode,
        delay_seconds=best.delay_seconds,
        processes=tuple(ordered),
        **waiting,  # type: ignore[arg-type]
    )
