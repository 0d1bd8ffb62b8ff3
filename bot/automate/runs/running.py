"""Runs go on: targets are started, their steps follow one another, the run is settled.

    open runs ─▶ one look: rows ─▶ `stepping.decide` (pure) ─▶ actions, a transaction each

Any number of processes may look. Whoever is killed between two actions leaves the rows as they
were, and the next look goes on from there. An action that raises is put off, and the target fails
at last; the other targets don't wait for it. So is the end of a run, which ends in part at last. A
run whose definition can't be read fails whole.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from bot.automate.definition import TARGETS_MAX, Definition, restored
from bot.automate.runs import giving_up, run_rows, steering, stepping
from bot.automate.runs.acting import SQL, Acting, Ways
from bot.automate.runs.stepping import Action, Moving, Settle
from bot.govern import halting
from bot.govern.halt import halted
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.database import EVENTS, RUNS, Database, Listener, is_away
from bot.store.transaction import Transaction
from bot.work.control import Actor
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
"""Between two looks for runs that are due."""
LOOK_SECONDS = 5.0
"""Between two looks at one run of which nothing is heard."""
GAP_SECONDS = 0.2
"""Between two looks, however much is heard: all sessions of a fleet speak."""
LOOKED_SECONDS_MAX = 30.0
"""Of a run's time, that pass between two looks at most: the rest is a step of the clock, or nobody
was there to look."""
RUNS_AT_ONCE = 4
AWAY_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """A run as one look found it."""

    run: Any
    definition: Definition
    actions: Sequence[Action]


class Running:
    """Lets runs go on."""

    def __init__(
        self,
        database: Database,
        ways: Ways,
        rights: Rights,
        *,
        listener: Listener | None = None,
        poll_seconds: float = POLL_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`listener` brings the hints; without one it polls."""
        self._database = database
        self._ways = ways
        self._acting = Acting(database, ways, rights)
        self._listener = listener
        self._poll_seconds = poll_seconds
        self._look_seconds = look_seconds
        self._look = asyncio.Event()
        self._hinted: set[UUID] = set()
        self._sessions: dict[str, UUID] = {}
        """The run of each session that works for one, as of the last look at it."""

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until `stop`."""
        offs = []
        if self._listener is not None:
            offs.append(self._listener.on(RUNS, self._hear_run))
            offs.append(self._listener.on(EVENTS, self._hear_session))
        try:
            while not stop.is_set():
                self._look.clear()
                try:
                    await self.once()
                except Exception as error:
                    if not is_away(error):
                        log.exception("runs_failed")
                    await asyncio.sleep(AWAY_SECONDS)
                await first_of(stop, seconds_max=GAP_SECONDS)
                await first_of(stop, self._look, seconds_max=self._poll_seconds)
        finally:
            for off in offs:
                off()

    def _hear_run(self, run_id: str) -> None:
        with suppress(ValueError):
            self._hinted.add(UUID(run_id))
        self._look.set()

    def _hear_session(self, session_id: str) -> None:
        run_id = self._sessions.get(session_id)
        if run_id is not None:
            self._hinted.add(run_id)
            self._look.set()

    async def once(self) -> int:
        """Look at every run that is due; how many there were."""
        hinted, self._hinted = self._hinted, set()
        due = await self._database.run(SQL["due"], {"hinted": list(hinted)})
        runs = list(due.scalars())
        places = asyncio.Semaphore(RUNS_AT_ONCE)

        async def one(run_id: UUID) -> None:
            async with places:
                try:
                    await self._one(run_id)
                except Exception as error:
                    if is_away(error):
                        raise
                    await giving_up.put_off(self._database, self._ways, run_id, error)

        await asyncio.gather(*(one(run_id) for run_id in runs))
        return len(runs)

    async def _one(self, run_id: UUID) -> None:
        looked = await self._looked(run_id)
        if looked is None:
            return
        lost = await self._report_in(looked)
        done = [await self._act(looked, action, lost) for action in looked.actions]
        if looked.run.tries:
            await self._database.run(SQL["came_off"], {"run": run_id})
        if any(done):
            await self._progress(looked.run)
            # What came of them may ask for more at once.
            self._hinted.add(run_id)
            self._look.set()

    async def _progress(self, run: Any) -> None:
        """Show how far it is, as far as that comes off: no message is worth giving up a run."""
        try:
            async with self._database.begin() as tx:
                await self._ways.progress(tx, run.id)
        except Exception as error:
            if is_away(error):
                raise
            log.warning("run_progress_not_told", run=run.short, error=repr(error))

    async def _report_in(self, looked: _Looked) -> Exception | None:
        """What keeps its places from being known, which only its end waits for."""
        try:
            await self._ways.report_in(looked.run, looked.definition)
        except Exception as error:
            if is_away(error):
                raise
            log.warning("run_reports_nowhere", run=looked.run.short, error=repr(error))
            return error
        return None

    async def _act(self, looked: _Looked, action: Action, lost: Exception | None) -> bool:
        """Whether it came off; what raised is put off, and the others go on."""
        run = looked.run
        try:
            if lost is not None and isinstance(action, Settle):
                raise lost
            opened = await self._acting.apply(run, looked.definition, action)
        except Exception as error:
            if is_away(error):
                raise
            if isinstance(action, Settle):
                raise
            return await self._acting.put_off(action, error)
        if opened is not None:
            self._sessions[str(opened)] = run.id
        return True

    async def _looked(self, run_id: UUID) -> _Looked | None:
        """What there is to do about a run; None: it is settled, or another has it."""
        async with self._database.begin() as tx:
            run = (await tx.execute(SQL["take"], {"run": run_id})).one_or_none()
            if run is None:
                return None
            is_halted = await _is_halted(tx, run)
            seconds = await self._seen(tx, run_id, most=0.0 if is_halted else LOOKED_SECONDS_MAX)
            if is_halted:
                return None
            definition = _definition(run)
            if definition is not None:
                await self._ways.began(tx, run_id)
            moving = (await tx.execute(SQL["moving"], {"run": run_id})).all()
            stop_why = await self._stop_why(tx, run, definition, seconds)
            limits = None if definition is None else definition.limits
            limit = TARGETS_MAX if stop_why or not limits else limits.parallel
            waiting = (await tx.execute(SQL["waiting"], {"run": run_id, "limit": limit})).all()
            actions = stepping.decide(
                limits,
                stop_why,
                [_moving(row) for row in moving],
                [row.id for row in waiting if not row.put_off],
                waits=any(row.put_off for row in waiting),
            )
        for session_id in [one for one, of in self._sessions.items() if of == run_id]:
            del self._sessions[session_id]
        self._sessions |= {str(row.session_id): run_id for row in moving if row.session_id}
        return _Looked(run=run, definition=definition or run_rows.NO_LIMITS, actions=actions)

    async def _seen(self, tx: Transaction, run_id: UUID, *, most: float) -> float:
        """Note that it is looked at; the seconds that it has taken, `most` since the last look."""
        seen = {"run": run_id, "seconds": self._look_seconds, "most": most}
        seconds = float(await tx.scalar(SQL["again"], seen))
        await tx.execute(SQL["begun"], {"run": run_id})
        return seconds

    async def _stop_why(
        self, tx: Transaction, run: Any, definition: Definition | None, seconds: float
    ) -> str:
        if run.stop_why or definition is None:
            return str(run.stop_why)
        cost = int(await tx.scalar(SQL["cost"], {"run": run.id}))
        why = stepping.stops(definition.limits, seconds=seconds, cost_micro=cost)
        if why is not None:
            who = await standing_of(tx, run.runs_as_id)
            row = await run_rows.find_by_id(tx, run.id)
            await steering.stop(tx, row, Actor(id=who.person_id, name=who.name), why)
            log.info("run_stopped", run=run.short, why=why)
        return why or ""


def _definition(run: Any) -> Definition | None:
    """What it is to do; None: that can't be read any more."""
    try:
        return restored(run.definition)
    except ValueError as error:
        log.error("run_unreadable", run=run.short, error=str(error))
        return None


async def _is_halted(tx: Transaction, run: Any) -> bool:
    """Whether nothing of it may go on; its turns are ended by who runs them."""
    halts = await halting.read(tx)
    return halted(halts, project_id=run.project_id, person_id=run.runs_as_id) is not None


def _moving(row: Any) -> Moving:
    return Moving(
        id=row.id,
        step=row.step,
        seconds=float(row.seconds),
        has_session=row.has_session,
        prompt=row.prompt,
        outcome=row.outcome,
        summary=row.summary,
        put_off=row.put_off,
    )
