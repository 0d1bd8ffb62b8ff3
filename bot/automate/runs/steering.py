"""What people, and the limits of a run, do to it: stop it, run targets of it again.

Each is one transaction that holds the run's row first, then those of targets, then of sessions.
What runs is only asked to stop; `bot.automate.runs.running` sees how it ends, and what to begin.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from bot.automate.runs.stepping import STOPPED
from bot.errors import NotFound, NothingToDo
from bot.govern.audit import Audited, Source, record
from bot.store.database import RUNS
from bot.store.transaction import Transaction
from bot.words.catalogue import N_, Message, in_source, ngettext, together
from bot.words.catalogue import gettext as _
from bot.work import control
from bot.work.control import Actor

StopWhy = Literal["person", "time", "money", "cancelled", "halt"]
Which = Literal["failed", "all"] | int
"""Targets that came to no good end, all, or the one at that place."""

WHY: Mapping[str, str] = {**STOPPED, "person": N_("{name} stopped the run")}
PLACE_DIGITS_MAX = 6
_STOP = text(
    """
    UPDATE run SET stop_why = :why, stopped_by = :by, look_at = clock_timestamp()
     WHERE id = :run AND stop_why = '' AND settled_at IS NULL
    RETURNING id
    """
)
_STOP_WAITING = text(
    """
    UPDATE run_target SET state = 'stopped', why = :told, ended_at = clock_timestamp()
     WHERE run_id = :run AND state = 'waiting'
    RETURNING place
    """
)
_RUNNING = text(
    """
    WITH running AS (
        UPDATE run_target SET try_at = NULL WHERE run_id = :run AND state = 'running'
        RETURNING session_id)
    SELECT session_id FROM running WHERE session_id IS NOT NULL ORDER BY session_id
    """
)
"""What was put off of them is tried again at once: it is to end now."""
_OPEN = text(
    """
    SELECT count(*) FILTER (WHERE state = 'running') AS running,
           count(*) FILTER (WHERE state = 'waiting') AS waiting,
           count(*) FILTER (WHERE place = :place) AS known,
           count(*) FILTER (WHERE place = :place AND project_id IS NULL AND url = '') AS nowhere
      FROM run_target WHERE run_id = :run
    """
)
_AGAIN = text(
    """
    UPDATE run_target
       SET state = 'waiting', why = '', attempt = attempt + 1, prompt_id = NULL, step = 0,
           results = '[]', report = '', started_at = NULL, ended_at = NULL, tries = 0,
           try_at = NULL, begun_seconds = NULL,
           earlier = CASE WHEN session_id IS NULL THEN earlier
                          ELSE earlier || jsonb_build_array(CAST(session_id AS text)) END,
           session_id = NULL
     WHERE run_id = :run AND state = ANY(:states)
       AND (CAST(:place AS integer) IS NULL OR place = :place)
       AND (project_id IS NOT NULL OR url <> '')
    RETURNING place
    """
)
"""What had no project when the run began has none in any attempt."""
_GO_ON = text(
    """
    UPDATE run SET stop_why = '', stopped_by = NULL, settled_at = NULL, look_at = clock_timestamp(),
                   tries = 0,
                   seconds = CASE WHEN settled_at IS NULL AND stop_why = '' THEN seconds
                                  ELSE 0 END,
                   seen_at = clock_timestamp()
     WHERE id = :run
    """
)
_UNDONE = ["failed", "stopped"]
_OVER = ["done", "failed", "skipped", "stopped"]


async def stop(
    tx: Transaction, run: Mapping[str, Any], by: Actor, why: StopWhy, *, surface: str = "clock"
) -> Message:
    """End a run: what waits is not begun, what runs is asked to stop.

    :param run: its row, as `run_rows.lock` gives it
    :param by: who wants it; where no person does, in whose name the run works
    :raises NothingToDo: it is over, or being stopped already
    """
    stopper = by.id if why == "person" else None
    values = {"run": run["id"], "why": why, "by": stopper}
    if (await tx.execute(_STOP, values)).first() is None:
        raise NothingToDo(
            _("the run {run} is over, or being stopped already", run=run["short"]),
            do=_("`runs show {run}` says how it stands", run=run["short"]),
        )
    told = in_source(_(WHY[why], name=by.name))
    waiting = (await tx.execute(_STOP_WAITING, {"run": run["id"], "told": told})).all()
    running = list((await tx.execute(_RUNNING, {"run": run["id"]})).scalars())
    for session_id in running:
        # Between two steps nothing runs in it: the next one is not begun.
        with suppress(NothingToDo, NotFound):
            await control.stop(tx, session_id, by, clear=True)
    tx.hint(RUNS, run["id"])
    body = {"why": why, "running": len(running), "waiting": len(waiting)}
    await _note(tx, run, "run.stopped", _source(by, why, surface), body)
    return _stopped(run["short"], running=len(running), waiting=len(waiting))


async def rerun(
    tx: Transaction, run: Mapping[str, Any], by: Actor, which: Which, *, surface: str = "clock"
) -> Message:
    """Let targets that are over wait once more, each for a session of its own.

    :param run: its row, as `run_rows.lock` gives it
    :raises NotFound: it has no such target
    :raises NothingToDo: none of them is over, or could be worked on, or the run is being stopped
    """
    place = which if isinstance(which, int) else None
    stands = (await tx.execute(_OPEN, {"run": run["id"], "place": place})).one()
    if place is not None and not stands.known:
        raise NotFound(
            _("the run {run} has no target {place}", run=run["short"], place=place),
            do=_("`runs show {run}` says how it stands", run=run["short"]),
        )
    if run["stop_why"] and (stands.running or stands.waiting):
        raise NothingToDo(
            _("the run {run} is just being stopped", run=run["short"]),
            kept=_("nothing was changed"),
            do=_("say it again when it is over"),
        )
    if stands.nowhere:
        raise NothingToDo(
            _("target {place} of {run} has no project to work in", place=place, run=run["short"]),
            kept=_("nothing was changed"),
            do=_("add one, then begin a new run, which looks for it again"),
        )
    states = _UNDONE if which == "failed" else _OVER
    values = {"run": run["id"], "states": states, "place": place}
    again = list((await tx.execute(_AGAIN, values)).scalars())
    if not again:
        raise _nothing_again(run["short"], which)
    await tx.execute(_GO_ON, {"run": run["id"]})
    tx.hint(RUNS, run["id"])
    body = {"which": str(which), "targets": len(again)}
    await _note(tx, run, "run.rerun", _source(by, "person", surface), body)
    return ngettext(
        "{count} target of {run} is run again.",
        "{count} targets of {run} are run again.",
        len(again),
        run=run["short"],
    )


def _nothing_again(short: str, which: Which) -> NothingToDo:
    if which == "failed":
        return NothingToDo(_("no target of {run} failed", run=short))
    if which == "all":
        return NothingToDo(_("no target of {run} can be run again now", run=short))
    return NothingToDo(
        _("target {place} of {run} is not over yet", place=which, run=short),
        do=_("say it again when it is over"),
    )


def _stopped(short: str, *, running: int, waiting: int) -> Message:
    parts = [_("Stopping {run}.", run=short) if running else _("Stopped {run}.", run=short)]
    if running:
        parts.append(
            ngettext(
                "{count} target that runs is asked to stop.",
                "{count} targets that run are asked to stop.",
                running,
            )
        )
    if waiting:
        parts.append(
            ngettext(
                "{count} target that waited is not begun.",
                "{count} targets that waited are not begun.",
                waiting,
            )
        )
    return together(*parts)


def _source(by: Actor, why: StopWhy, surface: str) -> Source:
    if why == "person":
        return Source(person_id=by.id, who=by.name, surface=surface)
    return Source(who="ona", surface="clock")


async def _note(
    tx: Transaction, run: Mapping[str, Any], kind: str, by: Source, body: Mapping[str, Any]
) -> None:
    project_id: UUID = run["project_id"]
    event = Audited(kind=kind, by=by, place=run["short"], project_id=project_id, body=body)
    await record(tx, event)


def place_of(said: str) -> Which | None:
    """What words name of a run's targets: `failed`, `all`, `3`, `#3`; None: nothing; pure."""
    word = said.strip().casefold().removeprefix("#")
    if word in {"failed", "all"}:
        return "failed" if word == "failed" else "all"
    is_place = word.isascii() and word.isdecimal() and len(word) <= PLACE_DIGITS_MAX
    return int(word) if is_place else None
