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
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog

from adapters.agent import port
from bot.errors import LimitReached, NotAllowed, NotPermitted, OnaError, TellOperator
from bot.govern.grants import Grants
from bot.govern.offers import Offer
from bot.govern.rights import Rights
from bot.metrics import TURN_SECONDS, TURNS, turn_step
from bot.store.database import is_away
from bot.store.states import TurnState
from bot.words.catalogue import gettext as _
from bot.words.catalogue import of_error, together
from bot.work import (
    briefing,
    conversations,
    ended_words,
    left_running,
    provider_faults,
    questions,
    undo_words,
    unreached,
)
from bot.work.agent_events import as_event
from bot.work.asked import Question, Settled
from bot.work.bounded import Bounded
from bot.work.bounds import SessionLimits
from bot.work.delivery import DELIVER, Delivery
from bot.work.granted import Granted
from bot.work.lease import Lease, OpenTurn, TurnClock
from bot.work.permitted import Permitted
from bot.work.queue import Event, LeaseLost
from bot.work.recorder import Recorder
from bot.work.tools_ran import tests_of
from bot.work.undo import UNDO
from bot.work.unreached import UNREACHED_MAX, Unreached
from bot.work.watching import Stopped, TurnSignals, Watch
from bot.work.work_queue import WorkQueue
from bot.work.workplace import Workplace, WorkplaceLost, Workplaces

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0
_OVER = (LimitReached, NotAllowed, NotPermitted)
"""With these there is no other try in the session, or none by who asked."""


@dataclass(frozen=True, kw_only=True)
class TurnLimits:
    """What bounds a turn."""

    seconds_max: float
    output_bytes_max: int
    question_seconds_max: float
    session: SessionLimits = field(default_factory=SessionLimits)


class HandedBack(Exception):
    """The turn goes on in another process."""


class Suspended(Exception):
    """A question is open; the turn goes on when it is answered."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What turns are run with."""

    queue: WorkQueue
    workplaces: Workplaces
    agents: Mapping[str, port.Agent]
    """By the names that sessions use; `shell` runs every `!command`."""
    limits: TurnLimits
    grants: Grants | None = None
    """None: there is no Vault, and no turn gets any."""
    delivery: Delivery | None = None
    """None: what turns leave stays in their machines and checkpoints."""
    servers: Sequence[port.Server] = ()
    """What agents are told of."""
    offers: Sequence[Offer] = ()
    """With what a turn can go on whose provider of models failed."""
    rights: Rights | None = None
    """Who may do what; None: everybody of the installation may everything."""


class Turn:
    """One run; the names of its parts are the steps in the module's picture."""

    def __init__(self, means: Means, lease: Lease, signals: TurnSignals) -> None:
        self._queue = means.queue
        self._workplaces = means.workplaces
        self._agents = means.agents
        self._limits = means.limits
        self._servers = means.servers
        self._offers = means.offers
        self._granted = Granted(means.grants, lease)
        self._delivery = means.delivery
        self._lease = lease
        self._signals = signals
        self._permitted = Permitted(means.queue.database, means.rights, lease)
        self._bounded = Bounded(means.queue, lease, means.limits.session)
        seconds_max, due = means.limits.seconds_max, self._bounded.due
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
        recorder = Recorder(self._queue, self._lease, turn)
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(recorder.run())
                ended = await self._watched(place, turn, recorder)
                await recorder.drain()
                writing.cancel()
        except* (LeaseLost, Unreached, HandedBack, Suspended, WorkplaceLost) as several:
            raise several.exceptions[0] from None
        await self._finish(place, turn, ended)

    async def _watched(self, place: Workplace, turn: OpenTurn, recorder: Recorder) -> port.Ended:
        """Run the agent; a watcher cancels it for a person, the time limit or this process."""
        agent = self._agents["shell" if turn.kind == "command" else self._lease.agent]
        self._lease.must_last()
        try:
            with turn_step("briefed"):
                await self._granted.hand_out(place, turn)
                task = await self._task(place, turn, agent)
            with turn_step("started"):
                run = await agent.start(place.jobs, task, turn.cursor)
        except ConnectionError as error:
            raise Unreached(str(error)) from error
        except port.JobRefused as error:
            return ended_words.refused(error)
        except Exception as error:
            if is_away(error):
                raise HandedBack from error
            raise
        reading = asyncio.ensure_future(self._read(run, turn, recorder))
        watching = asyncio.ensure_future(self._watch.during(run))
        try:
            await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                watching.result()
                await recorder.drain()
                if self._watch.question is not None:
                    await self._put(turn, self._watch.question)
                raise HandedBack
            return reading.result()
        except ConnectionError as error:
            # The machine may be gone or only the way into it: the next holder finds out.
            raise Unreached(str(error)) from error
        except port.JobRefused as error:
            return ended_words.refused(error)
        finally:
            for running in (reading, watching):
                running.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await running
            await run.close()

    async def _task(self, place: Workplace, turn: OpenTurn, agent: port.Agent) -> port.Task:
        """What the agent is asked, and what was said before where that agent looks for it."""
        database = self._queue.database
        told = await briefing.brief(
            database,
            place.materials,
            turn,
            agent=agent.name,
            reads=agent.reads,
            beside=place.beside,
        )
        session_id = self._lease.session_id
        signed = await self._delivery.environment(turn) if self._delivery else {}
        return port.Task(
            id=str(turn.id),
            kind="command" if turn.kind == "command" else "text",
            text=told.text,
            attachments=told.attachments,
            directory=place.directory,
            model=self._lease.model,
            conversation=await conversations.earlier(database, session_id, turn.id, agent.name),
            environment={
                "ONA_SESSION": self._lease.short,
                "ONA_TURN": str(turn.id),
                **place.environment,
                **signed,
                **told.environment,
                **self._granted.environment,
            },
            servers=self._servers,
            output_bytes_max=self._limits.output_bytes_max,
        )

    async def _read(self, run: port.Run, turn: OpenTurn, recorder: Recorder) -> port.Ended:
        async for emitted in run.events():
            event = emitted.event
            if isinstance(event, port.Ended):
                return event
            if isinstance(event, port.Asked):
                await recorder.drain()
                await self._ask(run, turn, event)
                continue
            stored = as_event(event)
            self._bounded.saw(stored)
            await recorder.put(stored, emitted.cursor)
        raise ConnectionError("the agent's events ended without an end")

    async def _ask(self, run: port.Run, turn: OpenTurn, asked: port.Asked) -> None:
        answer = await self._answer(turn, asked.key, asked.text, asked.choices)
        if answer is not None:
            await run.answer(asked.key, answer)

    async def _answer(
        self, turn: OpenTurn, key: str, said: str, choices: Sequence[str]
    ) -> str | None:
        """What people answer; None: the question stays open, as the turn is to end.

        :raises Suspended: they are asked now
        """
        settled = await self._put(turn, Question(key=key, text=said, choices=choices))
        known = settled.get(key)
        return known.answer if known is not None and not known.open else None

    async def _put(self, turn: OpenTurn, question: Question) -> Mapping[str, Settled]:
        """Ask a person, unless that was done before; all questions of the turn by their keys."""
        seconds = self._limits.question_seconds_max
        async with self._queue.database.begin() as tx:
            suspended = await questions.put(tx, self._lease, turn.id, question, seconds=seconds)
            settled = {one.key: one for one in await questions.of_turn(tx, turn.id)}
        if suspended:
            raise Suspended
        return settled

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
            **await self._tested(turn),
            **await self._provider_failed(turn, state, summary),
        }
        await self._store(turn, state, outcome, told)

    async def _tested(self, turn: OpenTurn) -> dict[str, Any]:
        """Which tests the agent ran and how they ended, where an outcome keeps it."""
        tests = await tests_of(self._queue.database, self._lease.session_id, turn.id)
        return {"tests": tests} if tests else {}

    async def _provider_failed(
        self, turn: OpenTurn, state: TurnState, summary: str
    ) -> dict[str, Any]:
        """What an outcome says otherwise, because the provider of the turn's model failed.

        What the agent says of that itself is kept beside it: it may be long and raw.
        """
        agent, model = self._lease.agent, self._lease.model
        is_agents = turn.kind != "command" and self._agents[agent].reads
        if state not in provider_faults.FAILURES or not is_agents:
            return {}
        last = await provider_faults.last_of(self._queue.database, turn.id)
        failed = provider_faults.decide(state, last)
        if failed is None:
            return {}
        instead = provider_faults.others(failed, self._offers, agent=agent, model=model)
        said = ended_words.provider_failed(failed, instead, agent)
        if state is TurnState.TIMED_OUT:
            said = together(summary, said, by="; ")
        return {"summary": said, "reported": summary, **provider_faults.kept(failed, instead)}

    async def _deliver(self, place: Workplace, turn: OpenTurn) -> Sequence[Event]:
        """Bring what an agent left to the code host; what a command left goes with the next."""
        if self._delivery is None or turn.kept_back or turn.kind == "command":
            return []
        if turn.kind != DELIVER and not self._agents[self._lease.agent].reads:
            return []

        async def ask(key: str, said: str, choices: Sequence[str]) -> str | None:
            return await self._answer(turn, key, said, choices)

        delivering = self._delivery.deliver(self._lease, turn, place, ask)
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
                if not is_away(error):
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
