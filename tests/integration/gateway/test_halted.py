"""A halt takes their way out from machines, on a real gateway; resume gives it back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

import pytest

from bot.errors import NothingToDo
from bot.govern import halting
from bot.govern.access import Standing
from bot.govern.halting import HaltWatch
from bot.store.database import CONTROL, Listener
from bot.work.way_out import Cutting, WaysOut
from tests.integration.conftest import Town
from tests.integration.gateway.test_rows import machine
from tests.support.gateway import Zone, allow, connect, loopback_doors, serving, tunnel_head
from vmpool.network.gateway import Gateway, Identity
from vmpool.network.gateway.rows import NameRows
from vmpool.network.policy import Policy

CUT_SECONDS_MAX = 5.0


@dataclass
class Site:
    """A host with its gateway, and a server outside."""

    proxy: int
    target: str


def _operator(town: Town) -> Standing:
    return Standing(person_id=town.people["Bo"], name="Bo", active=True, operator=True)


async def halt(town: Town, *, hints: bool = True, **whom: str | None) -> None:
    async with town.database.begin() as tx:
        await halting.halt(
            tx, _operator(town), **{"project": None, "person": None, **whom}, why="a key leaked"
        )
        if not hints:
            tx.hints.clear()


async def lift(town: Town, **whom: str | None) -> None:
    async with town.database.begin() as tx:
        await halting.lift(tx, _operator(town), **{"project": None, "person": None, **whom})


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while said := await reader.read(100):
        writer.write(said)


@asynccontextmanager
async def site(town: Town, one: UUID) -> AsyncIterator[Site]:
    listener = Listener(town.database.url, CONTROL)
    listening, over = asyncio.create_task(listener.run()), asyncio.Event()
    await listener.listening.wait()
    watch = HaltWatch(town.database, listener)

    async with serving(_echo) as port:

        async def policies(_project: UUID) -> Policy:
            return Policy(services=allow(f"127.0.0.1:{port}"))

        ways = WaysOut(
            town.database,
            policies,
            halts=lambda project, person: watch.halted(project_id=project, person_id=person),
        )
        names = NameRows(town.database.session)
        gateway = Gateway(access=ways.access, audit=lambda _: None, names=names, resolve=Zone())
        cutting = Cutting(ways, gateway)
        watch.on_change(cutting.look)
        watching, doors = asyncio.create_task(watch.run(over)), loopback_doors()
        assert doors.proxy is not None
        proxy = doors.proxy.getsockname()[1]
        try:
            await gateway.attach(doors, Identity(machine=one))
            yield Site(proxy=proxy, target=f"127.0.0.1:{port}")
        finally:
            await gateway.close()
            over.set()
            await watching
            await cutting.close()
            listening.cancel()


async def _working_machine(town: Town, by: str) -> UUID:
    """The machine of a session in which somebody's turn runs."""
    await town.say("!sleep 600", by=by)
    queue = town.queue("w")
    lease = await queue.claim()
    assert lease is not None
    one = await machine(town, session=lease.session_id)
    assert await queue.begin_turn(lease, one) is not None
    return one


@pytest.mark.parametrize("hints", [True, False])
@pytest.mark.parametrize("whom", [{}, {"project": "demo"}, {"person": "Ann"}])
async def test_what_is_open_is_cut_and_nothing_opens_until_it_is_resumed(
    town: Town, whom: dict[str, str], hints: bool
) -> None:
    one = await _working_machine(town, "Ann")
    async with site(town, one) as here:
        head, reader, writer = await connect(here.proxy, here.target)
        assert " 200 " in head
        writer.write(b"hello")
        assert await reader.read(100) == b"hello"
        began = monotonic()
        await halt(town, hints=hints, **whom)
        async with asyncio.timeout(CUT_SECONDS_MAX):
            assert await reader.read(100) == b""
        assert monotonic() - began < CUT_SECONDS_MAX
        writer.close()
        assert " 403 " in await tunnel_head(here.proxy, here.target)
        await lift(town, **whom)
        async with asyncio.timeout(CUT_SECONDS_MAX):
            while " 200 " not in await tunnel_head(here.proxy, here.target):
                await asyncio.sleep(0.1)


async def test_what_others_have_open_goes_on(town: Town) -> None:
    one = await _working_machine(town, "Ann")
    async with site(town, one) as here:
        _, reader, writer = await connect(here.proxy, here.target)
        await halt(town, person="Bo")
        with pytest.raises(NothingToDo):
            await halt(town, person="Bo")
        await asyncio.sleep(halting.POLL_SECONDS + 0.5)
        writer.write(b"still here")
        assert await reader.read(100) == b"still here"
        writer.close()
