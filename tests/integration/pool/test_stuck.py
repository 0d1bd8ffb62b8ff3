"""What a host does not let go of: a process that does not end, a file that can't be removed.

It is tried again by each look around, and nobody else waits for it meanwhile.
"""

import pytest

from tests.fakes.driver_trouble import StuckDriver
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.machine import MachineState, TemplateState, Tier
from vmpool.reconcile import reconcile


class Every(set[str]):
    """All machines there are, and will be."""

    def __contains__(self, _machine_id: object) -> bool:
        return True


async def let_go(yard, driver: StuckDriver) -> None:
    """The host does: the next look around finds and removes it."""
    driver.stuck = set()
    await reconcile(yard.pool, yard.registry, yard.driver)
    rows = {str(machine.id) for machine in await yard.registry.mine()}
    assert rows == set(yard.host.machines)


async def test_a_session_whose_lost_machine_can_not_be_removed_gets_another_at_once(yards):
    driver = StuckDriver(yards.host)
    yard = yards.make(driver)
    session = await yard.session()
    lost = await yard.opened(session)
    assert await yard.pool.rest(lost)
    yard.host.machines[str(lost)].broken = "its memory was altered"
    driver.stuck = {str(lost)}
    async with yard.open(session) as opened:
        assert opened.machine_id != lost
        assert opened.lost == "its memory was altered"
    assert await yard.state(lost) is MachineState.REMOVING
    await let_go(yard, driver)
    assert await yard.state(lost) is MachineState.GONE


async def test_a_waiting_machine_that_can_not_be_removed_keeps_nobody_from_the_next(yards):
    driver = StuckDriver(yards.host)
    yard = yards.make(driver, **ROOMY, demand=limits(hot=0, cold=2))
    await build(yard)
    await yard.keeper.tend()
    first, second = sorted(await yard.rows.waiting(), key=lambda machine: machine.created_at)
    yard.host.machines[str(first.id)].broken = "its memory was altered"
    driver.stuck = {str(first.id)}
    async with yard.open(await yard.session()) as opened:
        assert (opened.machine_id, opened.tier) == (second.id, Tier.COLD)
    await let_go(yard, driver)


async def test_a_first_boot_that_fails_is_tried_again_though_its_machine_can_not_be_removed(yards):
    driver = StuckDriver(yards.host)
    yard = yards.make(driver)
    boots = []

    async def boot(machine_id: str) -> None:
        boots.append(machine_id)
        await StuckDriver.boot(driver, machine_id)
        if len(boots) == 1:
            yard.host.kill(machine_id)

    driver.boot = boot
    driver.stuck = Every()
    async with yard.open(await yard.session()) as opened:
        assert [str(opened.machine_id)] == boots[1:]
    driver.stuck = set()
    await let_go(yard, driver)
    assert set(yard.host.machines) == set(boots[1:])


async def test_a_template_is_ready_though_nothing_can_be_removed_after_it_was_frozen(yards):
    driver = StuckDriver(yards.host)
    yard = yards.make(driver, **ROOMY, demand=limits(hot=0, cold=1))
    driver.stuck = Every()
    template = await build(yard)
    assert template is not None
    assert template.state is TemplateState.READY
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.RESTING: 1}
    await let_go(yard, driver)


@pytest.mark.parametrize("what", ["machine", "template"])
async def test_what_is_left_of_a_build_and_can_not_be_removed_keeps_no_other_from_it(yards, what):
    driver = StuckDriver(yards.host)
    early = yards.make(driver, **ROOMY, demand=limits(hot=0, cold=0))
    interrupted = await early.rows.begin_template(early.order, "whatever")
    machine = await early.registry.add(early.order)
    await early.rows.note_machine(interrupted.id, machine.id)
    await driver.create(str(machine.id), early.order.spec)
    if what == "template":
        await driver.boot(str(machine.id))
        await driver.freeze(str(machine.id), str(interrupted.id))
    # The process that built it has ended; this is the next one's start, and its first build.
    driver.stuck = {str(machine.id), str(interrupted.id)}
    yard = yards.make(driver, **ROOMY, demand=limits(hot=0, cold=0))
    await yard.keeper.repair()
    built = await build(yard)
    assert built is not None
    assert built.state is TemplateState.READY
    driver.stuck = set()
    await yard.keeper.repair()
    await let_go(yard, driver)
    assert set(yard.host.templates) == {str(built.id)}
    assert yard.host.machines == {}


async def test_a_process_that_does_not_end_is_counted_until_it_does(yards):
    driver = StuckDriver(yards.host, why=TimeoutError("it was killed and does not end"))
    yard = yards.make(driver, running_max=2)
    undying = await yard.opened(await yard.session())
    driver.stuck = {str(undying)}
    assert not await yard.pool.destroy(undying, "a test")
    before = await yard.opened(await yard.session())
    after = await yard.opened(await yard.session())
    assert await yard.state(before) is MachineState.RESTING
    assert await yard.state(after) is MachineState.RUNNING
    assert (await yard.pool.spare()).machines == -1
    await let_go(yard, driver)
    assert (await yard.pool.spare()).machines == 0


async def test_files_that_can_not_be_removed_take_no_memory(yards):
    driver = StuckDriver(yards.host)
    yard = yards.make(driver, running_max=2)
    stuck = await yard.opened(await yard.session())
    driver.stuck = {str(stuck)}
    assert not await yard.pool.destroy(stuck, "a test")
    others = [await yard.opened(await yard.session()) for _ in range(2)]
    assert [await yard.state(one) for one in others] == [MachineState.RUNNING] * 2
