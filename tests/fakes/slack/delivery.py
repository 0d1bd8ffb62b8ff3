"""What the app is told: each delivery is tried until it is acknowledged, and then a few times."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.fakes.slack.bad import Mishap
from tests.fakes.slack.http_mode import HttpMode
from tests.fakes.slack.sockets import Sockets

if TYPE_CHECKING:
    from tests.fakes.slack.server import FakeSlack

DeliveryKind = Literal["events_api", "slash_commands", "interactive"]


@dataclass(kw_only=True)
class Times:
    """How patient Slack is; tests may make it less so."""

    ack_seconds: float = 3.0
    retry_seconds: tuple[float, ...] = (0.0, 60.0, 300.0)
    """Before each retry of an event; nothing else is retried."""
    ping_seconds: float | None = None
    """Between two pings of a connection; None: only when a test asks for it."""


@dataclass(kw_only=True, eq=False)
class Delivery:
    """One thing that the app is told, in all its attempts."""

    kind: DeliveryKind
    name: str
    payload: dict[str, Any]
    mishap: Mishap = field(default_factory=Mishap)
    attempts: list[str] = field(default_factory=list)
    """How each one ended: `acked`, or why it is retried."""
    answer: dict[str, Any] | None = None
    """What the acknowledgement carried."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    sent_at: float = 0.0
    """When it was first sent, and when it was acknowledged, on the monotonic clock."""
    acked_at: float = 0.0

    @property
    def acked(self) -> bool:
        return "acked" in self.attempts

    @property
    def event(self) -> dict[str, Any]:
        return dict(self.payload.get("event", {}))


class Outgoing:
    """Sends deliveries in order, retries them, and keeps them all."""

    def __init__(self, slack: FakeSlack) -> None:
        self.times = Times()
        self.sockets = Sockets(slack, self.times)
        self.http = HttpMode(slack, self.times)
        self.all: list[Delivery] = []
        self.lost: list[Delivery] = []
        """Never acknowledged, and given up."""
        self._slack = slack
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._hurry = asyncio.Event()

    async def start(self) -> None:
        self._spawn(self._send_in_order())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.sockets.close()
        await self.http.close()

    def retry_now(self) -> None:
        """Let every retry that waits for its time happen now."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    def put(self, kind: DeliveryKind, name: str, payload: dict[str, Any]) -> Delivery:
        mishap = self._slack.bad.delivery(name)
        delivery = Delivery(kind=kind, name=name, payload=payload, mishap=mishap)
        self.all.append(delivery)
        self._queue.put_nowait(delivery)
        return delivery

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._slack.crashes.append(error)

    async def _send_in_order(self) -> None:
        while True:
            delivery = await self._queue.get()
            if delivery.mishap.delayed:
                self._spawn(self._later(delivery))
            elif delivery.mishap.after_next:
                following = await self._queue.get()
                await self._begin(following)
                await self._begin(delivery)
            else:
                await self._begin(delivery)

    async def _later(self, delivery: Delivery) -> None:
        assert delivery.mishap.delayed
        await delivery.mishap.delayed.wait()
        await self._begin(delivery)

    async def _begin(self, delivery: Delivery) -> None:
        """Send it for the first time, before anything that comes later is sent."""
        first = await self._attempt(delivery, 0)
        if delivery.mishap.duplicate:
            self._spawn(self._ended(await self._attempt(delivery, 0)))
        self._spawn(self._follow(delivery, first))

    async def _ended(self, attempt: asyncio.Future[str]) -> None:
        await attempt

    async def _attempt(self, delivery: Delivery, number: int) -> asyncio.Future[str]:
        """Send it; the future says how the attempt ended."""
        if self._slack.app.request_url:
            return self._spawn(self.http.post(delivery, number))
        return await self.sockets.send(delivery, number, str(uuid.uuid4()))

    async def _follow(self, delivery: Delivery, attempt: asyncio.Future[str]) -> None:
        retries = self.times.retry_seconds if delivery.kind == "events_api" else ()
        for number, seconds in enumerate((*retries, None), start=1):
            ended = await attempt
            if delivery.mishap.deaf and number == 1:
                ended = "timeout"
            delivery.attempts.append(ended)
            self._slack.changed()
            if ended in ("acked", "no_retry") or seconds is None:
                break
            await self._pause(seconds)
            attempt = await self._attempt(delivery, number)
        if not delivery.acked:
            self.lost.append(delivery)
        delivery.over.set()
        self._slack.interactions.ended(delivery)
        self._slack.changed()

    async def _pause(self, seconds: float) -> None:
        hurry = self._hurry
        try:
            async with asyncio.timeout(seconds):
                await hurry.wait()
        except TimeoutError:
            return
