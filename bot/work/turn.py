"""The turn: the run of one prompt, from a leased session to a stored outcome.

    claimed ─▶ enter the workplace ─▶ end what others left running ─▶ begin (or go on with) the turn
            ─▶ events … ─▶ checkpoint
            ─▶ outcome and release, in one transaction

Every other way out:
- stop, `now:`, time limit: the job is ended, the outcome says who or what did it;
- a question, of the agent or of ours (money, going in circles): the row is stored, the lease given
  back, the machine may rest;
- SIGTERM: the job runs on, the lease is handed back with the turn open;
- the lease is lost: nothing is written any more, a successor attaches to the job;
- the machine is gone: `interrupted`, never run again by itself;
- nothing can be said to the job: after a pause that grows, and not for ever (`bot.work.unreached`).
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any
from uuid import UUID

import structlog

from adapters.agent import port
from bot.errors import LimitReached, NotAllowed, NotPermitted, OnaError, TellOperator
from bot.metrics import TURN_SECONDS, TURNS, turn_step
from bot.store.database import may_pass
from bot.store.states import TurnState
from bot.words.catalogue import gettext as _
from bot.words.catalogue import of_error, together
from bot.work import ended_words, left_running, outcomes, undo_words, unreached
from bot.work.bounded import Bounded
from bot.work.delivery import DELIVER
from bot.work.driving import Driving
from bot.work.granted import Granted
from bot.work.lease import Lease, OpenTurn, TurnClock
from bot.work.permitted import Permitted
from bot.work.queue import Event
from bot.work.suspending import Suspending
from bot.work.turn_means import Means
from bot.work.undo import UNDO
from bot.work.unreached import UNREACHED_MAX, Unreached
from bot.work.watching import HandedBack, Stopped, TurnSignals, Watch
from bot.work.workplace import Workplace, WorkplaceLost

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0
_OVER = (LimitReached, NotAllowed, NotPermitted)
"""With these there is no other try in the session, or none by who asked."""


class Turn:
    """One run; the names of its parts are the steps in the module's picture."""

    def __init__(self, means: Means, lease: Lease, signals: TurnSignals) -> None:
        self._means = means
        self._queue = means.queue
        self._workplaces = means.workplaces
        self._granted = Granted(means.grants, lease)
        self._lease = lease
        self._signals = signals
        self._permitted = Permitted(means.queue.database, means.rights, lease)
        self._bounded = Bounded(means.queue, lease, means.limits.session)
        seconds_max, due = means.limits.seconds_max, self._bounded.due
        asked_max = means.limits.question_seconds_max
        self._asking = Suspending(means.queue.database, lease, seconds_max=asked_max)
        self._watch = Watch(means.queue, lease, signals, seconds_max=seconds_max, due=due)
        self._turn: OpenTurn | None = None
        """The turn that is open: left by an earlier holder, or begun here."""

    async def run(self) -> None:
        """Run it to a stored outcome, or to where it goes on later.

        :raises HandedBack, HostBack: the lease is to be given back with the turn open
        :raises Suspended: a question is open, and the lease is given back
        :raises NoCapacity: nothing was begun
        :raises LeaseLost:
        """
        due = await self._queue.look(self._lease)
        self._turn = due.turn
        if due.turn is None and (due.stop or not due.prompt_waits):
            await self._queue.release(self._lease)
            return
        try:
            if self._turn is None:
                with turn_step("allowed"):
                    await self._permitted.look()
                    await self._bounded.check_session()
            if not self._signals.was_short:
                self._granted.begin(self._turn)
            async with AsyncExitStack() as stack:
                with turn_step("machine"):
                    place = await self._enter(stack)
                try:
                    await self._in_place(place)
                finally:
                    await self._granted.end()
        except Stopped:
            await self._queue.release(self._lease)
        except WorkplaceLost as error:
            await self._end_interrupted(of_error(error))
        except Unreached as error:
            await self._pause(error)
        except OnaError as error:
            await self.fail(error)
        finally:
            await self._granted.end()

    async def _pause(self, error: Unreached) -> None:
        """Let the turn wait until it is tried again; stopped or tried too often, it ends."""
        # Counted anew since something was written.
        turn = (await self._queue.look(self._lease)).turn
        assert turn is not None
        times = turn.unreached + 1
        log.warning("turn_unreached", times=times, error=str(error))
        stop = await self._queue.stop_request(self._lease)
        if stop is not None:
            outcome = {"summary": ended_words.stopped(stop), "by": stop.name}
            await self._store(turn, TurnState.STOPPED, outcome, [unreached.stopped()])
        elif times >= UNREACHED_MAX:
            await self.fail(unreached.too_often(times))
        else:
            seconds, told = unreached.pause_seconds(times), unreached.told(times)
            await self._queue.pause(self._lease, turn, seconds=seconds, events=told)

    async def _enter(self, stack: AsyncExitStack) -> Workplace:
        """Enter, unless a person stops it or this process ends first."""
        # What takes a turn back may do so in any machine: all of it is repeated.
        begun = self._turn if self._turn is None or self._turn.kind != UNDO else None
        entering = asyncio.ensure_future(
            stack.enter_async_context(self._workplaces.enter(self._lease, begun, self._tell))
        )
        watching = asyncio.ensure_future(self._watch.before(begun=self._turn is not None))
        try:
            await asyncio.wait({entering, watching}, return_when=asyncio.FIRST_COMPLETED)
            if entering.done():
                return entering.result()
            watching.result()
            raise HandedBack
        finally:
            for task in (entering, watching):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def _in_place(self, place: Workplace) -> None:
        for notice in place.notices:
            await self._tell(Event(kind="notice", body={"text": notice}))
        self._granted.begin(self._turn)
        with turn_step("grants"):
            told = await self._granted.wait(self._turn)
        for without in told:
            await self._tell(Event(kind="notice", body={"text": without}))
        if self._turn is None:
            with turn_step("begun"):
                await self._permitted.look()
                await self._end_of_others(place)
                self._turn = await self._begin(place.machine_id)
        if self._turn is None:
            raise Stopped
        turn = self._turn
        structlog.contextvars.bind_contextvars(turn=str(turn.id), prompt=str(turn.prompt_id))
        steps = {UNDO: self._undo, DELIVER: self._bring}
        await steps.get(turn.kind, self._drive)(place, turn)

    async def _begin(self, machine_id: UUID | None) -> OpenTurn | None:
        """Begin the turn of the prompt that was looked at, if it still is the next."""
        prompt_id = self._permitted.prompt_id
        return await self._queue.begin_turn(self._lease, machine_id, prompt_id=prompt_id)

    async def _end_of_others(self, place: Workplace) -> None:
        """While no turn runs nothing gets out; from then on whatever runs there does."""
        assert self._permitted.prompt_id is not None
        told = await left_running.end_of_others(
            self._queue.database, self._lease, self._permitted.prompt_id, place.jobs
        )
        if told is not None:
            await self._tell(Event(kind="notice", body={"text": told}))

    async def _undo(self, place: Workplace, turn: OpenTurn) -> None:
        """Take the turn before back; it takes seconds, and is not stopped half-way."""
        self._lease.clock = TurnClock(turn_id=turn.id, before_seconds=turn.ran_seconds)
        self._lease.must_last()
        try:
            await self._granted.hand_out(place, turn)
            told = await self._workplaces.undo(self._lease, turn, place)
        except ConnectionError as error:
            raise Unreached(str(error)) from error
        except port.JobRefused as error:
            raise OnaError(_("the machine refused: {error}", error=str(error))) from error
        await self._granted.take_back(place, turn)
        outcome = {"summary": _(undo_words.SUMMARY), "seconds": self._lease.clock.ran_seconds}
        await self._store(turn, TurnState.SUCCEEDED, outcome, told)

    async def _bring(self, place: Workplace, turn: OpenTurn) -> None:
        """Deliver what the turns before kept back."""
        self._lease.clock = TurnClock(turn_id=turn.id, before_seconds=turn.ran_seconds)
        self._lease.must_last()
        told = await self._deliver(place, turn)
        lost = next((event for event in told if event.kind == "undelivered"), None)
        summary = _(ended_words.DELIVERED) if lost is None else lost.body["text"]
        state = TurnState.SUCCEEDED if lost is None else TurnState.FAILED
        outcome = {"summary": summary, "seconds": self._lease.clock.ran_seconds}
        await self._store(turn, state, outcome, [*told])

    async def _drive(self, place: Workplace, turn: OpenTurn) -> None:
        self._lease.clock = TurnClock(turn_id=turn.id, before_seconds=turn.ran_seconds)
        await self._bounded.begin(turn)
        driving = Driving(
            self._means,
            self._lease,
            granted=self._granted,
            bounded=self._bounded,
            watch=self._watch,
            asking=self._asking,
        )
        ended = await driving.drive(place, turn)
        await self._finish(place, turn, ended)

    async def _finish(self, place: Workplace, turn: OpenTurn, ended: port.Ended) -> None:
        # Refused before the outcome is stored, and before the machine may rest.
        await self._granted.take_back(place, turn)
        saving = self._workplaces.checkpoint(self._lease, turn, place)
        told = await self._watch.patiently(saving)
        if told is None:
            told = [Event(kind="notice", body={"text": _(ended_words.UNSAVED)})]
        state = TurnState.SUCCEEDED if ended.succeeded else TurnState.FAILED
        summary, by = ended_words.how(ended), None
        over = await self._bounded.over_budget()
        cancelled = self._watch.cancelled
        if cancelled is not None:
            state, summary, by = cancelled.state, cancelled.summary, cancelled.by
        elif over is not None:
            state, summary = TurnState.BUDGET, ended_words.over_budget(over)
        if state is TurnState.SUCCEEDED:
            told = [*told, *await self._deliver(place, turn)]
        outcome = {
            "summary": summary,
            "exit_status": ended.exit_status,
            "seconds": ended.seconds,
            "by": by,
            **await outcomes.tested(self._queue.database, self._lease, turn),
            **await outcomes.provider_failed(self._means, self._lease, turn, state, summary),
        }
        await self._store(turn, state, outcome, told)

    async def _deliver(self, place: Workplace, turn: OpenTurn) -> Sequence[Event]:
        """Bring what an agent left to the code host; what a command left goes with the next."""
        if self._means.delivery is None or turn.kept_back or turn.kind == "command":
            return []
        if turn.kind != DELIVER and not self._means.agents[self._lease.agent].reads:
            return []

        async def ask(key: str, said: str, choices: Sequence[str]) -> str | None:
            return await self._asking.answer(turn, key, said, choices)

        delivering = self._means.delivery.deliver(self._lease, turn, place, ask)
        return await self._watch.patiently(delivering) or []

    async def _end_interrupted(self, why: str) -> None:
        if self._turn is None:
            raise OnaError(why)
        outcome = {"summary": ended_words.interrupted(why)}
        await self._store(self._turn, TurnState.INTERRUPTED, outcome, [])

    async def fail(self, error: OnaError) -> None:
        """End the open turn, or that of the next prompt: it can't be run as things are."""
        if isinstance(error, TellOperator):
            log.error("workplace_failed", error=str(error))
        if self._turn is None:
            self._turn = (await self._queue.look(self._lease)).turn
        if self._turn is None:
            self._turn = await self._begin(None)
        if self._turn is None:
            await self._queue.release(self._lease)
            return
        parts = (part for part in (error.happened, error.kept, error.do) if part)
        why = together(*parts, by="; ")
        failed = Event(kind="error", body={"text": why})
        is_over = isinstance(error, _OVER) or self._turn.kind == UNDO
        outcome = {"summary": why if is_over else ended_words.failed(why)}
        await self._store(self._turn, TurnState.FAILED, outcome, [failed])

    async def _store(
        self, turn: OpenTurn, state: TurnState, outcome: dict[str, Any], events: list[Event]
    ) -> None:
        """Store the outcome, waiting for the database if it is away."""
        while True:
            try:
                cost = await self._bounded.cost_micro(turn.id)
                whole = {**outcome, "cost_micro": cost} if cost else outcome
                await self._queue.finish(self._lease, turn, state, whole, events=events)
            except Exception as error:
                if not may_pass(error):
                    raise
                log.warning("outcome_waits_for_database")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                TURNS.labels(outcome=state.value).inc()
                if self._lease.clock is not None:
                    TURN_SECONDS.observe(self._lease.clock.ran_seconds)
                log.info("turn_ended", outcome=state.value)
                return

    async def _tell(self, event: Event) -> None:
        await self._queue.append(self._lease, [event])
