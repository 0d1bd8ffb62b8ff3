"""A worker that is killed between any two steps of what it does with machines that wait."""

import contextlib
from collections.abc import Awaitable, Callable

import pytest

from tests.fakes.mortal import Killed, Mortal
from tests.integration.pool.conftest import Yard, Yards
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.machine import MachineState, TemplateState
from vmpool.reconcile import reconcile

pytestmark = pytest.mark.slow
STEPS_MAX = 60
FULL = {MachineState.PAUSED: 1, MachineState.RESTING: 1}


class Relay:
    """One process after the other on the same host and database."""

    def __init__(self, yards: Yards) -> None:
        self._yards = yards
        self.mortal = Mortal()
        self.yard: Yard = self._start()

    def _start(self) -> Yard:
        self.mortal = Mortal()
        return self._yards.make(**ROOMY, demand=limits(hot=1, cold=1), mortal=self.mortal)

    async def restarted(self) -> Yard:
        """The next process, after what it does at its start."""
        with contextlib.suppress(Killed):
            # Its memory is gone with it: connections, watchers.
            await self.yard.pool.care.close()
        self.yard = self._start()
        await reconcile(self.yard.pool, self.yard.registry, self.yard.driver)
        await self.yard.keeper.repair()
        return self.yard

    async def survives(self, act: Callable[[Yard], Awaitable[None]]) -> int:
        """Do it in a process that is killed after its first, second, … step; how many it has."""
        for steps in range(STEPS_MAX):
            self.mortal.kill_after(steps)
            with contextlib.suppress(Exception):
                await act(self.yard)
            if len(self.mortal.steps) < steps:
                return steps
            yard = await self.restarted()
            await self.nothing_leaks(yard)
        raise AssertionError(f"more than {STEPS_MAX} steps")

    async def nothing_leaks(self, yard: Yard) -> None:
        """Rows and host agree, and the pool is filled again."""
        await yard.keeper.tend()
        rows = {str(machine.id): machine for machine in await yard.registry.mine()}
        assert rows.keys() == yard.host.machines.keys()
        assert await waiting(yard) == FULL
        kept = await yard.rows.templates(TemplateState.READY, TemplateState.RETIRED)
        assert {str(one.id) for one in kept} == yard.host.templates.keys()
        assert [one.state for one in kept].count(TemplateState.READY) == 1
        for machine in rows.values():
            process = yard.host.machines[str(machine.id)]
            assert process.paused == (machine.state is MachineState.PAUSED)
            assert process.running == (machine.state in {MachineState.PAUSED, MachineState.RUNNING})


@pytest.fixture
async def relay(yards) -> Relay:
    relay = Relay(yards)
    await build(relay.yard)
    await relay.yard.keeper.tend()
    return relay


async def test_a_worker_killed_anywhere_in_a_claim_leaves_one_owner_and_nothing_else(relay):
    session = await relay.yard.session()

    async def claim(yard: Yard) -> None:
        for machine in await yard.registry.mine():
            if machine.session_id == session:
                await yard.pool.destroy(machine.id, "so that it is claimed again")
        async with yard.open(session) as opened:
            done = await opened.channel.run(["echo", "hi"], timeout_seconds=10)
            assert done.stdout == b"hi\n"

    assert await relay.survives(claim) > 8


async def test_a_worker_killed_anywhere_while_it_fills_a_pool_leaves_nothing_half_made(relay):
    async def fill(yard: Yard) -> None:
        for machine in await yard.rows.waiting():
            assert await yard.stock.remove(machine.id, "so that it is made again")
        await yard.keeper.tend()

    assert await relay.survives(fill) > 12


async def test_a_worker_killed_anywhere_in_a_build_leaves_the_template_of_before(relay):
    setups = iter(f"setup {number}" for number in range(STEPS_MAX))

    async def rebuild(yard: Yard) -> None:
        await build(yard, setup=next(setups))

    assert await relay.survives(rebuild) > 12
