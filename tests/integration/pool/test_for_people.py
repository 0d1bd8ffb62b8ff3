"""Turns of automations leave some machines of a host for people."""

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from tests.integration.pool.test_pools import ROOMY, build, limits
from vmpool.errors import NoRoom
from vmpool.machine import MachineState

KEPT = "what is left of this host is kept for people"


@pytest.fixture
def yard(yards):
    return yards.make(running_max=3, running_for_people=1)


async def test_automations_leave_one_and_a_person_has_it_at_once(yard):
    robot = replace(yard.order, yields=True)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(yard.open(await yard.session(), order=robot))
        with pytest.raises(NoRoom, match=KEPT):
            async with yard.open(await yard.session(), order=robot):
                pass
        await stack.enter_async_context(yard.open(await yard.session()))
        assert len(await yard.registry.mine(MachineState.RUNNING)) == 3


async def test_a_person_makes_an_idle_machine_of_an_automation_rest_before_one_of_a_person(yard):
    robot = replace(yard.order, yields=True)
    person = await yard.opened(await yard.session())
    machines = []
    for _ in range(2):
        async with yard.open(await yard.session(), order=robot) as opened:
            machines.append(opened.machine_id)
    # The person's is the one that nobody used for longest.
    await yard.opened(await yard.session())
    states = [await yard.state(one) for one in (person, *machines)]
    running, resting = MachineState.RUNNING, MachineState.RESTING
    assert states == [running, resting, running]


async def test_one_that_idles_is_not_busy_again_at_people_s_cost(yard):
    robot = replace(yard.order, yields=True)
    session = await yard.session()
    async with yard.open(session, order=robot) as opened:
        machine_id = opened.machine_id
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(yard.open(await yard.session()))
        with pytest.raises(NoRoom, match=KEPT):
            async with yard.open(session, order=robot):
                pass
        # A turn that began in it goes on: what it started runs there already.
        async with yard.open(session, order=robot, only=machine_id) as opened:
            assert opened.machine_id == machine_id
    async with yard.open(session, order=robot) as opened:
        assert opened.machine_id == machine_id


async def test_a_resting_one_and_a_hot_one_are_not_woken_at_people_s_cost(yards):
    yard = yards.make(**{**ROOMY, "running_max": 4}, running_for_people=1, demand=limits(1, 0))
    robot, person = replace(yard.order, yields=True), replace(yard.order, size="medium")
    session = await yard.session()
    async with yard.open(session, order=robot) as opened:
        machine_id = opened.machine_id
    assert await yard.pool.rest(machine_id)
    await build(yard)
    await yard.keeper.tend()
    hot = [machine.id for machine in await yard.rows.waiting()]
    assert len(hot) == 1
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(yard.open(await yard.session(), order=person))
        for late in (session, await yard.session()):
            with pytest.raises(NoRoom, match=KEPT):
                async with yard.open(late, order=robot):
                    pass
        assert await yard.state(machine_id) is MachineState.RESTING
        assert [machine.id for machine in await yard.rows.waiting()] == hot
    async with yard.open(session, order=robot) as opened:
        assert opened.machine_id == machine_id


async def test_whose_turn_it_was_last_is_whose_machine_it_is(yard):
    session = await yard.session()
    robot = replace(yard.order, yields=True)
    async with yard.open(session, order=robot) as opened:
        machine_id = opened.machine_id
    assert (await yard.row(machine_id)).facts["yields"] is True
    await yard.opened(session)
    assert (await yard.row(machine_id)).facts["yields"] is False
