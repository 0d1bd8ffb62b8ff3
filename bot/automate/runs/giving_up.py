"""A run that raises as a whole is put off, longer each time, and given up at last.

It is about what is no single target's: to look at it, to stop it, to end it. Given up means that
the targets that are open fail with why, that what comes off of its end is done, and that the rest
is said.
"""

from typing import Any
from uuid import UUID

import structlog

from bot.automate.backing_off import back_off
from bot.automate.runs.acting import SQL, Ways
from bot.automate.runs.stepping import TRIES_MAX, why_failed
from bot.errors import NothingToDo
from bot.govern.people import standing_of
from bot.store.database import Database, is_away
from bot.store.transaction import Transaction
from bot.work import control
from bot.work.control import Actor

log = structlog.get_logger(__name__)


async def put_off(database: Database, ways: Ways, run_id: UUID, error: Exception) -> None:
    """Have a run that raised looked at again later; at last give it up."""
    async with database.begin() as tx:
        run = (await tx.execute(SQL["take"], {"run": run_id})).one_or_none()
        if run is None:
            return
        again = {"run": run_id, "seconds": back_off(run.tries + 1)}
        await tx.execute(SQL["run_put_off"], again)
    if run.tries + 1 < TRIES_MAX:
        log.warning("run_put_off", run=run.short, error=repr(error), exc_info=error)
        return
    log.error("run_given_up", run=run.short, error=repr(error))
    try:
        async with database.begin() as tx:
            await _give_up(tx, ways, run, error)
    except Exception as raised:
        if is_away(raised):
            raise
        # It stays put off, and is tried once more then.
        log.exception("run_not_given_up", run=run.short)


async def _give_up(tx: Transaction, ways: Ways, run: Any, error: Exception) -> None:
    if (await tx.execute(SQL["take"], {"run": run.id})).one_or_none() is None:
        return
    failed = {"run": run.id, "why": why_failed(error)}
    sessions = (await tx.execute(SQL["give_up"], failed)).scalars()
    for session_id in sorted(one for one in sessions if one is not None):
        await _stop(tx, run, session_id)
    if (await tx.execute(SQL["settle"], {"run": run.id})).first():
        await ways.ended_in_part(tx, run.id)


async def _stop(tx: Transaction, run: Any, session_id: UUID) -> None:
    """Ask what runs in a session to stop, as far as that comes off."""
    try:
        async with tx.begin_nested():
            who = await standing_of(tx, run.runs_as_id)
            actor = Actor(id=who.person_id, name=who.name)
            await control.stop(tx, session_id, actor, clear=True)
    except NothingToDo:
        return
    except Exception as error:
        if is_away(error):
            raise
        log.warning("target_not_stopped", run=run.short, error=repr(error))
