"""What a refill heeds: sessions, its bound, failures, the disk, the pool of before, demand."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest

import vmpool.opening
from bot.store.ids import new_id
from tests.fakes.driver_trouble import GatedDriver
from tests.integration.pool.conftest import DEMAND
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.errors import MachineError
from vmpool.machine import MachineState, Tier
from vmpool.noting import Notes
from vmpool.warm import past, sizing
from vmpool.warm.demand import LEARN_SECONDS, LEARNT_AGAIN_MAX, Demands
from vmpool.warm.plan import Action, Do
from vmpool.warm.sizing import SizingLimits


async def held(yard):
    return await yard.town.value("SELECT held FROM pool")


@pytest.fixture
def clones(monkeypatch):
    """Let every clone of a yard fail; yields how often each template was tried."""

    def fail(yard):
        tried = []

        async def clone(template_id, machine_id):
            tried.append(template_id)
            raise MachineError("no luck")

        monkeypatch.setattr(yard.driver, "clone", clone)
        return tried

    return fail


def cloning(template, count):
    return [Action(do=Do.CLONE, subject=template.id, why="") for _ in range(count)]


async def test_no_refill_is_begun_while_a_session_s_machine_is_opened(yards, monkeypatch):
    driver = GatedDriver(yards.host)
    yard = yards.make(driver, **ROOMY)
    template = await build(yard)
    asked, quiet = asyncio.Event(), yard.pool.quiet

    async def asks():
        asked.set()
        await quiet()

    monkeypatch.setattr(yard.pool, "quiet", asks)
    driver.shut = {"open_channel"}
    turn = asyncio.create_task(yard.opened(await yard.session()))
    await driver.reached.wait()
    refill = asyncio.create_task(yard.stock.act(cloning(template, 1), {template.id: template}))
    asking = asyncio.create_task(asked.wait())
    await asyncio.wait({asking, refill}, return_when=asyncio.FIRST_COMPLETED)
    assert asked.is_set()
    assert await waiting(yard) == {}
    driver.go.set()
    await turn
    assert await refill == 1
    assert await waiting(yard) == {MachineState.RESTING: 1}


async def test_no_more_machines_are_made_at_once_than_may_be(yards, monkeypatch):
    yard = yards.make(**ROOMY)
    template = await build(yard)
    go, begun, clone, add = asyncio.Event(), [], yard.driver.clone, yard.registry.clone_row
    full = asyncio.Event()

    async def adds(*args, **known):
        # Called without waiting for anything: each that may begin has been here by then.
        begun.append(args)
        return await add(*args, **known)

    async def waits(template_id, machine_id):
        full.set()
        await go.wait()
        await clone(template_id, machine_id)

    monkeypatch.setattr(yard.registry, "clone_row", adds)
    monkeypatch.setattr(yard.driver, "clone", waits)
    acting = asyncio.create_task(yard.stock.act(cloning(template, 5), {template.id: template}))
    await full.wait()
    assert len(begun) == 2
    go.set()
    assert await acting == 5


async def test_what_failed_is_left_alone_for_a_while_and_the_pool_says_so(yards, clones):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    template = await build(yard)
    tried = clones(yard)
    await yard.keeper.tend()
    assert tried == [str(template.id)] * 2
    await yard.keeper.tend()
    assert len(tried) == 2
    assert "no luck" in await held(yard)


async def test_machines_of_the_older_template_wait_until_the_new_pool_is_filled(yards, monkeypatch):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    old = await build(yard)
    await yard.keeper.tend()
    new = await build(yard, setup="other")

    async def fails(template_id, machine_id):
        raise MachineError("no luck")

    with monkeypatch.context() as patch:
        patch.setattr(yard.driver, "clone", fails)
        await yard.keeper.tend()
    assert {machine.template_id for machine in await yard.rows.waiting()} == {old.id}
    yard.stock.forget(new.id)
    await yard.keeper.tend()
    assert {machine.template_id for machine in await yard.rows.waiting()} == {new.id}


async def test_a_pool_that_nobody_ever_asked_for_goes_with_its_template(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    await build(yard)
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.PAUSED: 1, MachineState.RESTING: 1}
    await yard.keeper.build_due([], {})
    await yard.keeper.tend()
    assert (await waiting(yard), yard.host.machines) == ({}, {})
    await yard.keeper.build_due([], {})
    assert (await yard.rows.templates(), yard.host.templates) == ([], {})
    await yard.keeper.tend()
    assert await yard.town.rows("SELECT * FROM pool") == []


async def test_a_disk_at_its_reserve_is_left_to_the_rests_of_sessions(yards, monkeypatch, clones):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    await build(yard)
    tried = clones(yard)
    monkeypatch.setattr(yard.driver, "free_disk_mib", lambda: 1)
    await yard.keeper.tend()
    assert tried == []
    assert await held(yard) == "the disk is nearly full"


async def test_hand_outs_are_written_down_and_pools_are_sized_by_them(yards, monkeypatch):
    yard = yards.make(**ROOMY, demand=limits(hot=0, cold=0))
    await build(yard)
    for _ in range(2):
        await yard.opened(await yard.session())
    async with asyncio.timeout(100):
        since = datetime.now(UTC) - timedelta(hours=1)
        while len(await yard.rows.handouts(since)) < 2:
            await asyncio.sleep(0.01)
    targets, claims = sizing.targets, []

    def spying(profile, recent, *args, **known):
        claims.append(len(recent))
        return targets(profile, recent, *args, **known)

    monkeypatch.setattr(sizing, "targets", spying)
    await yard.keeper.tend()
    assert set(claims) == {2}


async def test_a_burst_is_answered_before_its_hand_outs_are_written_down(yards, monkeypatch):
    none = SizingLimits(hot_min=0, hot_max=4, cold_min=0, cold_max=0, keep_seconds=86400)
    yard = yards.make(**ROOMY, demand=none)
    notes = Notes(later_seconds=3600)
    monkeypatch.setattr(yard.pool._opener, "_notes", notes)
    await build(yard)
    await yard.keeper.tend()
    assert await waiting(yard) == {}
    began = datetime.now(UTC)
    for _ in range(2):
        await yard.opened(await yard.session())
    since = began - timedelta(hours=1)
    assert await yard.rows.handouts(since) == []
    await yard.keeper.tend()
    assert await yard.town.value("SELECT hot_target FROM pool") >= 2
    assert MachineState.PAUSED in await waiting(yard)
    await notes.close()
    rows = await yard.rows.handouts(since)
    assert [began <= one.at for one in rows] == [True] * 2
    # Written down they are the same ones, for this process and for the next.
    key = yard.order.project_id, yard.order.size
    await yard.keeper.tend()
    assert len(yard.keeper._demands._claims[key]) == 2
    later = Demands(yard.rows, none, at_once=1)
    await later.refresh()
    assert len(later._claims[key]) == 2


async def test_pools_are_sized_by_the_clock_of_the_people(yard):
    there = timezone(timedelta(hours=9))
    monday = datetime(2026, 1, 5, 9, tzinfo=there)
    key = yard.order.project_id, yard.order.size
    for week in range(4):
        for second in range(3):
            at = monday + timedelta(weeks=week, seconds=second)
            asked = dataclasses.replace(yard.rows.asked(yard.order), at=at)
            await yard.rows.handed_out(asked, new_id(), Tier.HOT, 0.1)
    none = SizingLimits(hot_min=0, hot_max=9, cold_min=0, cold_max=0, keep_seconds=30 * 86400)
    now = monday + timedelta(weeks=4)
    demands = Demands(yard.rows, none, at_once=1, now=lambda: now)
    await demands.refresh()
    assert demands.targets(key, 10.0).hot == 3
    now += timedelta(hours=5)
    assert demands.targets(key, 10.0).hot == 0


async def test_few_profiles_are_learnt_anew_in_one_look(yard, monkeypatch):
    now, learnt = datetime.now(UTC), []
    demands = Demands(yard.rows, DEMAND, at_once=1, now=lambda: now)
    keys = [(new_id(), "small") for _ in range(LEARNT_AGAIN_MAX + 2)]
    learn = past.profile

    def learns(*args, **known):
        learnt.append(args)
        return learn(*args, **known)

    async def look() -> int:
        learnt.clear()
        await demands.refresh()
        for key in keys:
            assert demands.targets(key, 1.0).hot == DEMAND.hot_min
        return len(learnt)

    monkeypatch.setattr(past, "profile", learns)
    assert [await look(), await look()] == [len(keys), 0]
    now += timedelta(seconds=LEARN_SECONDS)
    assert [await look(), await look(), await look()] == [LEARNT_AGAIN_MAX, 2, 0]


async def test_what_was_handed_out_is_remembered_within_bounds(yards, monkeypatch):
    monkeypatch.setattr(vmpool.opening, "HANDED_OUT_MAX", 2)
    yard = yards.make(**ROOMY)
    for _ in range(3):
        await yard.opened(await yard.session())
    # Nobody keeps pools here, and so nobody asks.
    assert len(yard.pool.take_handed_out()) == 2
    assert yard.pool.take_handed_out() == []


async def test_hand_outs_are_counted_though_the_clock_was_set_back(yards):
    yard = yards.make(**ROOMY)
    demands = Demands(yard.rows, DEMAND, at_once=1)
    key = yard.order.project_id, yard.order.size
    machine_id = await yard.opened(await yard.session())
    await yard.pool.close()
    await yard.town.rows("UPDATE handout SET at = at + interval '1 hour' RETURNING id")
    await demands.refresh()
    await yard.rows.handed_out(yard.rows.asked(yard.order), machine_id, Tier.HOT, 0.1)
    for _ in range(2):
        await demands.refresh()
        claims = demands._claims[key]
        assert len(claims) == 2
        assert claims == sorted(claims)
