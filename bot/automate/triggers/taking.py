"""Events that are due become runs, or the reason why not.

    firings ─▶ events ─▶ one automation's, decided together (pure), in one transaction
                            └▶ those that run: held ─▶ begun outside of it ─▶ taken, or tried again

Any process may act: whoever has the automation's row decides. An event that is held is somebody's;
when they end before its run is there, it is due again, and comes to the same run by its key. What
raises is put off, longer each time, and dropped at last, so that nothing else waits for it.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.automate import notices
from bot.automate.backing_off import BACK_OFF_SECONDS, BACK_OFF_SECONDS_MAX, back_off
from bot.automate.definition import Definition, restored
from bot.automate.runs.beginning import Begun, Cause
from bot.automate.triggers import failing, taking_words, trigger_firings
from bot.automate.triggers.taking_decided import (
    ATTEMPTS_MAX,
    LOOP_DEPTH_MAX,
    Decision,
    Standing,
    Waiting,
    decide,
)
from bot.govern.halt import halted
from bot.govern.halting import read as halts
from bot.store.database import FIRINGS, TRIGGERS, Database, Listener, is_away
from bot.store.statements import load
from bot.store.transaction import Transaction
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

SQL = load(Path(__file__).parent / "sql" / "taking.sql")
POLL_SECONDS = 5.0
HOLD_SECONDS = 120.0
"""To begin a run: code hosts are asked for its targets."""
BEGIN_SECONDS_MAX = 90.0
WAITING_MAX = 5_000
"""Events of one automation that are looked at together, the oldest."""
_HOUR = text("SELECT date_trunc('hour', now())")


class Begins(Protocol):
    """See `bot.automate.runs.beginning.Beginning`."""

    async def begin(self, automation_id: UUID, cause: Cause) -> Begun:
        """Begin a run, once for each key of a cause. :raises OnaError: not now"""
        ...


@dataclass(frozen=True, kw_only=True)
class _Held:
    """An event whose run we begin."""

    automation: Any
    row: Any


class Taking:
    """Takes events of automations."""

    def __init__(
        self,
        database: Database,
        begins: Begins,
        *,
        listener: Listener | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """`listener` brings the hints; without one it polls."""
        self._database = database
        self._begins = begins
        self._listener = listener
        self._poll_seconds = poll_seconds
        self._look = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Take events until `stop`."""
        channels = (FIRINGS, TRIGGERS) if self._listener else ()
        offs = [self._listener.on(one, self._hear) for one in channels] if self._listener else []
        try:
            while not stop.is_set():
                self._look.clear()
                try:
                    await self.once(stop)
                except Exception as error:
                    if not is_away(error):
                        log.exception("taking_failed")
                await first_of(stop, self._look, seconds_max=self._poll_seconds)
        finally:
            for off in offs:
                off()

    def _hear(self, _: str) -> None:
        self._look.set()

    async def once(self, stop: asyncio.Event | None = None) -> int:
        """Take everything that is due now; how many times an automation was looked at."""
        looks = 0
        while not (stop and stop.is_set()):
            async with self._database.begin() as tx:
                if await trigger_firings.take(tx):
                    continue
            held = await self._decide()
            if held is None:
                return looks
            looks += 1
            await asyncio.gather(*(self._begin(one) for one in held))
        return looks

    async def _decide(self) -> Sequence[_Held] | None:
        """Decide about the events of one automation; those to begin. None: nothing is due."""
        row: Any = None
        try:
            async with self._database.begin() as tx:
                row = (await tx.execute(SQL["next"])).one_or_none()
                return None if row is None else await _decided(tx, row)
        except Exception as error:
            if row is None or is_away(error):
                raise
            log.warning("events_put_off", automation=row.name, error=repr(error), exc_info=True)
            await self._put_off(row)
            return ()

    async def _put_off(self, row: Any) -> None:
        """Try what is due of one automation again, later each time; in the end it is dropped."""
        again = {
            "automation": row.id,
            "most": ATTEMPTS_MAX,
            "seconds": BACK_OFF_SECONDS,
            "seconds_max": BACK_OFF_SECONDS_MAX,
        }
        async with self._database.begin() as tx:
            states = (await tx.execute(SQL["put_off"], again)).scalars()
            if "dropped" in states:
                log.error("events_dropped", automation=row.name)
                await failing.not_begun(tx, row.id, row.name)

    async def _begin(self, held: _Held) -> None:
        facts = {name: fact for name, fact in held.row.facts.items() if name != "kind"}
        cause = Cause(
            kind=held.row.kind,
            key=f"event/{held.row.id}",
            facts=facts,
            event_id=held.row.id,
            repository=held.row.repository,
        )
        try:
            async with asyncio.timeout(BEGIN_SECONDS_MAX):
                begun = await self._begins.begin(held.automation.id, cause)
            if begun.run_id is None:
                async with self._database.begin() as tx:
                    await _no_run(tx, held, begun)
        except Exception as error:
            # Whatever it is, the other events must not wait for it.
            log.warning("run_not_begun", automation=held.automation.name, error=str(error))
            await self._again(held)

    async def _again(self, held: _Held) -> None:
        again = {"event": held.row.id, "attempts": held.row.attempts, "state": "waiting", "why": ""}
        async with self._database.begin() as tx:
            seconds = back_off(held.row.attempts)
            await tx.execute(SQL["not_taken"], {**again, "seconds": seconds})


async def _decided(tx: Transaction, row: Any) -> Sequence[_Held]:
    """Decide about the events of one automation; those to begin."""
    definition = await _definition(tx, row)
    events = await _waiting(tx, row.id)
    standing = await _standing(tx, row, definition, events)
    decisions = decide(events, standing, row.now)
    held = await _apply(tx, decisions)
    if definition is None:
        return ()
    await _say(tx, row, definition, decisions)
    return [_Held(automation=row, row=one) for one in held]


async def _definition(tx: Transaction, row: Any) -> Definition | None:
    """What counts of an automation; None: it can't run, and is paused from now on."""
    if row.state != "active":
        return None
    if not (row.has_owner and row.project_there):
        why = "runs_as" if row.project_there else "project"
        await failing.without_owner(tx, row.id, row.name, why)
        return None
    try:
        return restored(row.definition)
    except ValueError:
        await failing.pause(tx, row.id, "unreadable", taking_words.unreadable(row.name))
        return None


async def _waiting(tx: Transaction, automation_id: UUID) -> list[Waiting]:
    asked = {"automation": automation_id, "limit": WAITING_MAX}
    rows = (await tx.execute(SQL["waiting"], asked)).all()
    caused = [row.id for row in rows if row.is_caused]
    causes: dict[UUID, dict[UUID | None, int]] = {}
    if caused:
        known = {"events": caused, "depth": LOOP_DEPTH_MAX}
        for one in await tx.execute(SQL["causes"], known):
            causes.setdefault(one.event_id, {})[one.automation_id] = one.depth
    return [
        Waiting(
            id=row.id,
            trigger_id=row.trigger_id,
            kind=row.kind,
            about=row.about,
            at=row.at,
            act_at=row.act_at,
            held=row.held,
            attempts=row.attempts,
            causes=frozenset(causes.get(row.id, ())),
            depth=max(causes.get(row.id, {}).values(), default=0),
        )
        for row in rows
    ]


async def _standing(
    tx: Transaction, row: Any, definition: Definition | None, events: Sequence[Waiting]
) -> Standing:
    if definition is None:
        return Standing(automation_id=row.id, active=False)
    asked = {"automation": row.id}
    lately = int(await tx.scalar(SQL["lately"], asked))
    halt = halted(await halts(tx), project_id=row.project_id, person_id=row.owner_id)
    return Standing(
        automation_id=row.id,
        active=True,
        halted=halt is not None,
        overlap=definition.overlap,
        runs_per_hour=definition.limits.runs_per_hour,
        runs_lately=lately + sum(one.held for one in events),
        busy=frozenset((await tx.execute(SQL["busy"], asked)).scalars()),
    )


async def _apply(tx: Transaction, decisions: Sequence[Decision]) -> Sequence[Any]:
    """Write the decisions down; the rows of the events whose runs begin."""
    by_act: dict[str, list[dict[str, Any]]] = {"drop": [], "wait": [], "run": []}
    for one in decisions:
        row = asdict(one)
        by_act[one.do].append({**row, "into_id": row["into"]})
    for act in ("drop", "wait"):
        if by_act[act]:
            await tx.execute(SQL[act], {"rows": json.dumps(by_act[act], default=str)})
    if not by_act["run"]:
        return ()
    rows = json.dumps(by_act["run"], default=str)
    return (await tx.execute(SQL["hold"], {"rows": rows, "seconds": HOLD_SECONDS})).all()


async def _no_run(tx: Transaction, held: _Held, begun: Begun) -> None:
    """Note why no run came of an event; one that did took it."""
    told = {"event": held.row.id, "state": "dropped", "why": begun.why}
    await tx.execute(SQL["not_taken"], {**told, "attempts": held.row.attempts, "seconds": 0})
    said = taking_words.no_run(held.automation.name, begun.told)
    hour = await tx.scalar(_HOUR)
    await notices.put(tx, held.automation.id, f"{begun.why}/{hour:%Y-%m-%d}", said)


async def _say(
    tx: Transaction, row: Any, definition: Definition, decisions: Sequence[Decision]
) -> None:
    """Tell of what was dropped, as far as people have to know: each kind once within an hour."""
    dropped = {one.why for one in decisions if one.do == "drop"}
    said = taking_words.dropped(row.name, runs_per_hour=definition.limits.runs_per_hour)
    told = [why for why in said if why in dropped]
    if told:
        hour = await tx.scalar(_HOUR)
        for why in told:
            await notices.put(tx, row.id, f"{why}/{hour.isoformat()}", said[why])
