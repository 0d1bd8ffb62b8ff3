"""The agent of a turn is driven: started or attached to, read, answered, and cancelled in time.

hand out grants ─▶ brief ─▶ start ─▶ events ─▶ recorder
                              │  ▲
                              ▼  │ answers
                            people
"""

import asyncio
from contextlib import suppress

from adapters.agent import port
from bot.metrics import turn_step
from bot.store.database import may_pass
from bot.work import ended_words
from bot.work.agent_events import as_event
from bot.work.bounded import Bounded
from bot.work.granted import Granted
from bot.work.lease import Lease, OpenTurn
from bot.work.queue import LeaseLost
from bot.work.recorder import Recorder
from bot.work.suspending import Suspended, Suspending
from bot.work.tasks import task_of
from bot.work.turn_means import Means
from bot.work.unreached import Unreached
from bot.work.watching import HandedBack, Watch
from bot.work.workplace import Workplace, WorkplaceLost


class Driving:
    """Drives the agent of one run of a turn."""

    def __init__(
        self,
        means: Means,
        lease: Lease,
        *,
        granted: Granted,
        bounded: Bounded,
        watch: Watch,
        asking: Suspending,
    ) -> None:
        """All but `means` are this run's."""
        self._means = means
        self._lease = lease
        self._granted = granted
        self._bounded = bounded
        self._watch = watch
        self._asking = asking

    async def drive(self, place: Workplace, turn: OpenTurn) -> port.Ended:
        """Run it to its end, with every event written down; how it ended.

        :raises HandedBack, LeaseLost, Suspended, Unreached, WorkplaceLost: it runs on, or is gone
        """
        recorder = Recorder(self._means.queue, self._lease, turn)
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(recorder.run())
                ended = await self._watched(place, turn, recorder)
                await recorder.drain()
                writing.cancel()
        except* (LeaseLost, Unreached, HandedBack, Suspended, WorkplaceLost) as several:
            raise several.exceptions[0] from None
        return ended

    async def _watched(self, place: Workplace, turn: OpenTurn, recorder: Recorder) -> port.Ended:
        """Run the agent; a watcher cancels it for a person, the time limit or this process."""
        self._lease.must_last()
        try:
            run = await self._started(place, turn)
        except ConnectionError as error:
            raise Unreached(str(error)) from error
        except port.JobRefused as error:
            return ended_words.refused(error)
        except Exception as error:
            if may_pass(error):
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
                    await self._asking.put(turn, self._watch.question)
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

    async def _started(self, place: Workplace, turn: OpenTurn) -> port.Run:
        """The agent's run; one that an earlier holder started is gone on with."""
        agent = self._means.agents["shell" if turn.kind == "command" else self._lease.agent]
        with turn_step("briefed"):
            await self._granted.hand_out(place, turn)
            if self._means.instructing is not None:
                await self._means.instructing.give(self._lease, place.materials, agent.name)
            granted = self._granted.environment
            task = await task_of(self._means, self._lease, place, turn, agent, granted=granted)
        with turn_step("started"):
            return await agent.start(place.jobs, task, turn.cursor)

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
        answer = await self._asking.answer(turn, asked.key, asked.text, asked.choices)
        if answer is not None:
            await run.answer(asked.key, answer)
