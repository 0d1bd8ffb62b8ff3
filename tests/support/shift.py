"""A worker process's time at work, on the real queue, in a guest program without a machine."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

from adapters.agent.port import Agent, Server
from adapters.agent.shell import ShellAgent
from bot.govern.grants import Grants
from bot.govern.offers import Offer
from bot.govern.rights import Rights
from bot.store.database import CONTROL, READY, Listener
from bot.work.bounds import SessionLimits
from bot.work.delivery import Delivery
from bot.work.instructing import Instructing
from bot.work.turn_means import Means, TurnLimits
from bot.work.turns import Turns
from bot.work.worker import Worker, WorkerLimits
from bot.work.workplace import Workplaces
from tests.integration.conftest import Town


class Shift:
    """One worker process's time at work."""

    def __init__(
        self,
        town: Town,
        places: Workplaces,
        name: str,
        *,
        now: asyncio.Event | None = None,
        lease_seconds: float = 30,
        grants: Grants | None = None,
        delivery: Delivery | None = None,
        agents: Mapping[str, Agent] | None = None,
        servers: Sequence[Server] = (),
        session: SessionLimits | None = None,
        offers: Sequence[Offer] = (),
        rights: Rights | None = None,
        instructing: Instructing | None = None,
        **limits: float,
    ) -> None:
        self._listener = Listener(town.database.url, READY, CONTROL)
        queue = town.queue(name, lease_seconds=lease_seconds)
        means = Means(
            queue=queue,
            workplaces=places,
            agents={"shell": ShellAgent(), **(agents or {})},
            limits=TurnLimits(
                seconds_max=limits.get("seconds_max", 60),
                output_bytes_max=1 << 20,
                question_seconds_max=limits.get("question_seconds", 60),
                session=session or SessionLimits(),
            ),
            grants=grants,
            delivery=delivery,
            servers=servers,
            offers=offers,
            rights=rights,
            instructing=instructing,
        )
        bounds = WorkerLimits(
            turns_max=int(limits.get("turns_max", 2)),
            for_people=int(limits.get("for_people", 0)),
            poll_seconds=limits.get("poll_seconds", 1),
            finish_seconds=limits.get("finish_seconds", 0),
        )
        self._now = now
        self.worker = Worker(queue, Turns(means), self._listener, bounds)
        self._stop = asyncio.Event()

    async def __aenter__(self) -> "Shift":
        self._listening = asyncio.create_task(self._listener.run())
        await self._listener.listening.wait()
        self._working = asyncio.create_task(self.worker.run(self._stop, self._now))
        return self

    async def die(self) -> None:
        """End as a process that is killed: nothing is handed back or written down."""
        self._working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._working

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        if not self._working.cancelled():
            await self._working
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening


async def until(
    town: Town, statement: str, holds: Callable[[list[tuple]], bool], *, seconds: float = 100
) -> list[tuple]:
    async with asyncio.timeout(seconds):
        while True:
            rows = await town.rows(statement)
            if holds(rows):
                return rows
            await asyncio.sleep(0.02)
