"""Reads runs and their targets; what a run comes to is counted anew each time.

Who may read a run, and which of its targets, is up to the caller: targets of projects that somebody
may not read are counted and not named.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from bot.automate.definition import Definition, restored
from bot.automate.runs import actionable
from bot.automate.runs.actionable import Found
from bot.automate.runs.tally import Seen, Tally, counted, status_of, tally
from bot.errors import NotFound
from bot.store.statements import load
from bot.store.states import TargetState
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

SQL = load(Path(__file__).parent / "sql" / "runs.sql")

LISTED_MAX = 100
TARGETS_LISTED_MAX = 1_000
ANSWER_LENGTH_MAX = 4_000
"""Characters of what a target's last step said, as it is read here."""
NO_LIMITS = Definition.model_validate({"name": "run", "steps": [{"run": "true"}]})
"""Stands for one that can't be read any more."""

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Comes:
    """What a run comes to by now."""

    tally: Tally
    found: Found
    pulls: Mapping[str, int]
    """Pull requests by state: open, merged, closed."""


async def find(tx: Transaction, short: str) -> dict[str, Any]:
    """A run. :raises NotFound:"""
    return await _one(tx, {"short": short, "run": None}, short)


async def find_by_id(tx: Transaction, run_id: UUID) -> dict[str, Any]:
    """The run with this id. :raises NotFound:"""
    return await _one(tx, {"short": None, "run": run_id}, str(run_id))


async def lock(tx: Transaction, short: str) -> dict[str, Any]:
    """A run that is about to be changed: its row is held. :raises NotFound:"""
    await tx.execute(SQL["lock"], {"short": short})
    return await find(tx, short)


async def listed(
    tx: Transaction,
    *,
    limit: int = 50,
    project: str | None = None,
    automation: str | None = None,
    before: datetime | None = None,
) -> list[dict[str, Any]]:
    """Runs, the newest first, each with its `counts` and its `status`.

    :param automation: name or short id
    :param before: made before that time
    """
    wanted = {
        "limit": min(limit, LISTED_MAX),
        "project": project,
        "automation": automation,
        "before": before,
    }
    rows = [dict(row) for row in (await tx.execute(SQL["listed"], wanted)).mappings()]
    for row in rows:
        states = {TargetState(name): count for name, count in row.pop("states").items()}
        row["counts"] = counted(states)
        row["status"] = status_of(row["counts"], is_stopped=bool(row["stop_why"]))
    return rows


async def tally_of(tx: Transaction, run: Row) -> Tally:
    """How far a run is, of its whole row."""
    rows = await tx.execute(SQL["tallied"], {"run": run["id"]})
    seen = [Seen(**{**row, "state": TargetState(row["state"])}) for row in rows.mappings()]
    parallel = definition_of(run).limits.parallel
    return tally(seen, now=run["now"], parallel=parallel, is_stopped=bool(run["stop_why"]))


async def comes_to(tx: Transaction, run: Row) -> Comes:
    """What a run comes to by now: how far it is, and what there is to show."""
    said = (await tx.execute(SQL["reports"], {"run": run["id"]})).scalars()
    is_for_people = actionable.reports(definition_of(run))
    pulls = {row.state: row.pulls for row in await tx.execute(SQL["pull_counts"], _run(run))}
    found = Found(
        reports=actionable.reporting(said) if is_for_people else 0,
        pull_requests=sum(pulls.values()),
        questions=len(await asking(tx, run, limit=TARGETS_LISTED_MAX)),
    )
    return Comes(tally=await tally_of(tx, run), found=found, pulls=pulls)


async def targets(
    tx: Transaction,
    run: Row,
    *,
    after: int = 0,
    limit: int = TARGETS_LISTED_MAX,
    state: TargetState | None = None,
    places: Collection[int] | None = None,
    opened: bool = False,
) -> list[dict[str, Any]]:
    """Targets behind a place, in that order.

    Each as place, repository, project_id, project, state, why, attempt, step, session, branch,
    outcome, report, answer, can_rerun, started_at, ended_at, cost_micro, pulls, asks.

    :param places: only those
    :param opened: only those that opened a pull request
    """
    wanted = {
        "run": run["id"],
        "after": after,
        "limit": min(limit, TARGETS_LISTED_MAX),
        "state": state,
        "places": None if places is None else list(places),
        "opened": opened,
        "text_length": ANSWER_LENGTH_MAX,
    }
    return [dict(row) for row in (await tx.execute(SQL["targets"], wanted)).mappings()]


async def undone(tx: Transaction, run: Row, *, limit: int) -> Sequence[Any]:
    """Targets that failed or were stopped, with why: place, repository, why."""
    return (await tx.execute(SQL["undone"], {**_run(run), "limit": limit})).all()


async def asking(tx: Transaction, run: Row, *, limit: int) -> Sequence[Any]:
    """Targets whose agent waits for a person: place, repository, session."""
    return (await tx.execute(SQL["asking"], {**_run(run), "limit": limit})).all()


async def pulls(tx: Transaction, run: Row, *, limit: int) -> Sequence[Any]:
    """Pull requests, the open ones first: place, repository, number, url, state, draft."""
    return (await tx.execute(SQL["pulls"], {**_run(run), "limit": limit})).all()


def definition_of(run: Row) -> Definition:
    """What a run was begun with; one that can't be read any more has the usual limits."""
    try:
        return restored(run["definition"])
    except ValueError:
        return NO_LIMITS


def told_of(run: Row, rows: Collection[Row], may_read: Collection[UUID]) -> list[Row]:
    """The targets that somebody may be told of; pure.

    One without a project is known to who reads the run if its definition names it; what a search
    found is not.

    :param may_read: projects that they may read
    """
    context = definition_of(run).context
    named = {*context.repositories, *context.projects}
    return [
        row
        for row in rows
        if (row["project_id"] in may_read if row["project_id"] else row["repository"] in named)
    ]


def seconds_of(target: Row) -> float | None:
    """How long a target took; None: it is not over, or was never begun."""
    if target["started_at"] is None or target["ended_at"] is None:
        return None
    return float((target["ended_at"] - target["started_at"]).total_seconds())


async def _one(tx: Transaction, wanted: Row, said: str) -> dict[str, Any]:
    row = (await tx.execute(SQL["find"], wanted)).mappings().one_or_none()
    if row is None:
        raise NotFound(
            _("there is no run {run}", run=said[:80]), do=_("`runs` lists those there are")
        )
    return dict(row)


def _run(run: Row) -> dict[str, Any]:
    return {"run": run["id"]}
