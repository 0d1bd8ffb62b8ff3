"""A worker that is killed between any two steps of what it does with machines that wait."""

import pytest

from tests.integration.pool.conftest import Yard
from tests.integration.pool.relay import STEPS_MAX, Relay
from tests.integration.pool.test_pools import build

pytestmark = pytest.mark.slow


@pytest.fixture
async def relay(yards) -> Relay:
    relay = Relay(yards, hot=1, cold=1)
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
