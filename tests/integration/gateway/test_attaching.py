"""Calls for one machine that come at once: one after the other, whoever came first."""

import asyncio
from collections.abc import Mapping
from uuid import UUID, uuid4

from tests.support.gateway import MemoryNames
from vmpool.network.gateway import Access, Doors, Gateway, Identity


class SlowNames(MemoryNames):
    """Names that are read as long as the test likes; counts who reads at once."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Semaphore(0)
        self.reading = 0
        self.most = 0

    async def known(self, machine: UUID) -> Mapping[str, int]:
        self.reading += 1
        self.most = max(self.most, self.reading)
        await self.let_go.acquire()
        self.reading -= 1
        return await super().known(machine)


async def turns_of_the_loop() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def nothing(who: Identity) -> Access:
    return Access()


async def test_a_machine_is_attached_once_at_a_time_though_it_was_detached_meanwhile() -> None:
    names, who = SlowNames(), Identity(machine=uuid4())
    gateway = Gateway(access=nothing, audit=lambda event: None, names=names)

    def attaching() -> "asyncio.Task[None]":
        return asyncio.create_task(gateway.attach(Doors(), who))

    first = attaching()
    await turns_of_the_loop()
    leaving = asyncio.create_task(gateway.detach(who.machine))
    await turns_of_the_loop()
    second = attaching()
    await turns_of_the_loop()
    names.let_go.release()
    await asyncio.gather(first, leaving)
    third = attaching()
    await turns_of_the_loop()
    assert names.most == 1
    for _ in range(2):
        names.let_go.release()
    await asyncio.gather(second, third)
    assert (names.most, gateway.attached()) == (1, (who.machine,))
    await gateway.close()
