"""Files that were cut short, altered or removed: refused, said, replaced; clones go on alone."""

import pytest

from tests.fakes.driver_trouble import DiesAtResumeDriver
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.machine import MachineState, TemplateState, Tier
from vmpool.reconcile import reconcile

SPOILT = ["memory has 4096 bytes, not 134217728", "memory was altered"]


@pytest.mark.parametrize("how", SPOILT)
async def test_a_spoilt_rest_is_refused_said_once_and_the_next_machine_rests_again(yard, how):
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest(machine_id)
    yard.host.machines[str(machine_id)].broken = how
    async with yard.open(session) as opened:
        assert opened.fresh
        assert how in (opened.lost or "")
    assert yard.said(session) == ["resting"], "the turn tells it"
    assert set(yard.host.machines) == {str(opened.machine_id)}
    assert await yard.pool.rest(opened.machine_id)
    assert await yard.opened(session) == opened.machine_id


async def test_a_rest_that_scrubbing_finds_spoilt_is_lost_before_anybody_asks_for_it(yard):
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest(machine_id)
    yard.host.machines[str(machine_id)].broken = "its memory was altered on disk"
    assert await yard.driver.scrub_next() == "its memory was altered on disk"
    await reconcile(yard.pool, yard.registry, yard.driver)
    assert yard.said(session) == ["resting", "lost"]
    assert yard.host.machines == {}


@pytest.mark.parametrize("how", SPOILT)
async def test_a_spoilt_machine_that_waits_is_thrown_away_and_the_next_handed_out(yards, how):
    yard = yards.make(**ROOMY, demand=limits(hot=0, cold=2))
    await build(yard)
    await yard.keeper.tend()
    spoilt, whole = sorted(await yard.rows.waiting(), key=lambda machine: machine.created_at)
    yard.host.machines[str(spoilt.id)].broken = how
    session = await yard.session()
    async with yard.open(session) as opened:
        assert (opened.machine_id, opened.tier, opened.lost) == (whole.id, Tier.COLD, None)
    assert yard.said(session) == []
    assert await yard.state(spoilt.id) is MachineState.GONE
    assert set(yard.host.machines) == {str(whole.id)}
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.RESTING: 2}


async def test_an_altered_middle_that_no_check_sees_ends_the_load_and_so_the_machine(yards):
    yard = yards.make(DiesAtResumeDriver(yards.host), **ROOMY, demand=limits(hot=0, cold=1))
    await build(yard)
    await yard.keeper.tend()
    (altered,) = await yard.rows.waiting()
    session = await yard.session()
    async with yard.open(session) as opened:
        assert (opened.tier, opened.lost) == (Tier.BOOT, None)
    assert yard.said(session) == []
    assert await yard.state(altered.id) is MachineState.GONE


async def test_a_spoilt_machine_is_not_heated(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=0, cold=1))
    await build(yard)
    await yard.keeper.tend()
    (cold,) = await yard.rows.waiting()
    yard.host.machines[str(cold.id)].broken = "memory was altered"
    assert not await yard.stock._heat(cold.id, "so that it is hot")
    assert await yard.state(cold.id) is MachineState.GONE
    assert yard.host.machines == {}


async def test_a_spoilt_template_makes_nothing_and_is_built_again(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=0, cold=1))
    old = await build(yard)
    yard.host.templates[str(old.id)].broken = "memory was altered"
    await yard.keeper.tend()
    assert (await waiting(yard), yard.host.machines) == ({}, {})
    failed = await yard.rows.template(old.id)
    assert failed.state is TemplateState.FAILED
    assert "memory was altered" in failed.note
    failure = failed.changed_at.replace(year=failed.changed_at.year - 1)
    await yard.town.rows(
        "UPDATE template SET changed_at = :at, created_at = :at RETURNING id", at=failure
    )
    new = await build(yard)
    assert new is not None
    yard.stock._breakers.clear()
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.RESTING: 1}


async def test_clones_of_a_template_that_was_dropped_go_on_rest_wake_and_are_handed_out(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    template = await build(yard)
    await yard.keeper.tend()
    hot, cold = await yard.session(), await yard.session()
    async with yard.open(hot) as opened:
        boot = opened.channel.boot
        await yard.rows.move_template(template.id, TemplateState.RETIRED)
        await yard.builder.forget(template.id)
        assert yard.host.templates == {}
        done = await opened.channel.run(["echo", "on"], timeout_seconds=10)
        assert done.stdout == b"on\n"
    assert await yard.pool.rest(opened.machine_id)
    async with yard.open(hot) as again:
        assert (again.machine_id, again.lost) == (opened.machine_id, None)
        assert again.channel.boot == boot
    async with yard.open(cold) as other:
        assert other.tier is Tier.COLD
    assert yard.said(hot) == ["resting"]
    assert yard.said(cold) == []
