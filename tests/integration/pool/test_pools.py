"""Templates built, machines that wait made and handed out, over a host that behaves."""

import asyncio
import dataclasses
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

import vmpool.warm.stock
from bot.store.ids import new_id
from tests.integration.pool.conftest import Yard
from vmpool.channel import Channel
from vmpool.decide import HYPERVISOR_MIB
from vmpool.errors import NoRoom
from vmpool.machine import Machine, MachineState, Template, TemplateState, Tier
from vmpool.memory import HostMemory
from vmpool.warm.building import BuildLog, StepFailed
from vmpool.warm.due import Wanted
from vmpool.warm.sizing import SizingLimits

ROOMY = {"running_max": 12, "memory_mib_max": 100_000}


def wanted(yard: Yard, *, commit: str = "c1", setup: str = "make") -> Wanted:
    return Wanted(order=yard.order, ingredients=(setup,), commit=commit)


async def build(yard: Yard, *, commit: str = "c1", setup: str = "make") -> Template | None:
    """Let the keeper build what is due; the newest template if one was built."""

    async def furnish(channel: Channel, build_log: BuildLog) -> str:
        async with build_log.step(setup) as said:
            done = await channel.run(["echo", setup], timeout_seconds=10)
            said.append(done.stdout.decode())
        return commit

    want = wanted(yard, commit=commit, setup=setup)
    before = {template.id for template in await yard.rows.templates()}
    await yard.keeper.build_due([want], {want.key: furnish})
    new = [one for one in await yard.rows.templates() if one.id not in before]
    return new[0] if new else None


def limits(hot: int = 1, cold: int = 1) -> SizingLimits:
    return SizingLimits(hot_min=hot, hot_max=hot, cold_min=cold, cold_max=cold, keep_seconds=86400)


async def waiting(yard: Yard) -> dict[MachineState, int]:
    """How many machines wait, by state."""
    counts: dict[MachineState, int] = {}
    for machine in await yard.rows.waiting():
        counts[machine.state] = counts.get(machine.state, 0) + 1
    return counts


@pytest.fixture
def roomy(yards) -> Yard:
    return yards.make(**ROOMY, demand=limits(hot=2, cold=1))


async def test_a_template_is_built_once_and_its_log_is_kept(roomy):
    template = await build(roomy)
    assert template is not None
    assert template.state is TemplateState.READY
    assert (template.commit, template.generation) == ("c1", 1)
    assert [step["step"] for step in template.steps] == ["boot", "make", "freeze"]
    assert template.steps[1]["output"] == "make\n"
    assert roomy.host.machines == {}
    assert list(roomy.host.templates) == [str(template.id)]
    assert await build(roomy) is None


async def test_a_template_says_which_step_of_how_many_is_under_way_until_it_is_built(roomy):
    seen = []

    async def look() -> None:
        (one,) = await roomy.rows.templates()
        seen.append((one.note, one.step_number, one.step_count))

    async def furnish(channel: Channel, build_log: BuildLog) -> str:
        await look()
        build_log.expect(2)
        async with build_log.step("make"):
            await look()
        async with build_log.step("make check"):
            await look()
        return "c1"

    built = await roomy.builder.build(roomy.order, "f", furnish)
    assert seen == [("boot", 1, None), ("make", 2, 4), ("make check", 3, 4)]
    assert built is not None
    assert (built.note, built.step_number, built.step_count) == (None, 4, 4)


WAITS = text(
    "SELECT size, why, failures, not_before > now() AS held, ahead FROM template_wait ORDER BY size"
)


async def test_what_waits_for_a_build_and_what_failed_is_written_down_until_it_is_built(roomy):
    seen, fails = [], True
    small = wanted(roomy)
    medium, large = (
        dataclasses.replace(small, order=dataclasses.replace(roomy.order, size=size))
        for size in ("medium", "large")
    )

    async def waits() -> list[tuple[object, ...]]:
        async with roomy.town.database.begin() as tx:
            return [tuple(row) for row in await tx.execute(WAITS)]

    async def furnish(channel: Channel, build_log: BuildLog) -> str:
        building = roomy.keeper.building
        assert building is not None
        # One more is wanted meanwhile.
        await roomy.keeper.give_up_unwanted(building, [small, medium, large])
        seen.append(await waits())
        if fails:
            raise StepFailed("no")
        return "c1"

    furnishing = {one.key: furnish for one in (small, medium, large)}
    await roomy.keeper.build_due([small, medium], furnishing)
    none = "there is none yet"
    assert seen == [[("large", none, 0, None, 2), ("medium", none, 0, None, 1)]]
    fails = False
    for _ in range(2):
        await roomy.keeper.build_due([small, medium, large], furnishing)
    await roomy.keeper.build_due([small, medium, large], furnishing)
    assert await waits() == [("small", none, 1, True, 0)]
    again = dataclasses.replace(small, begun_after=datetime.now(UTC))
    for _ in range(2):
        await roomy.keeper.build_due([again, medium, large], furnishing)
    assert await waits() == []


async def test_two_sizes_in_use_keep_their_templates_whichever_was_used_last(roomy):
    async def furnish(channel: Channel, build_log: BuildLog) -> str:
        return "c1"

    small = wanted(roomy)
    spec = dataclasses.replace(roomy.order.spec, memory_mib=256)
    medium = dataclasses.replace(
        small, order=dataclasses.replace(roomy.order, size="medium", spec=spec)
    )
    furnishing = {small.key: furnish, medium.key: furnish}
    for order in ([small, medium], [small, medium], [medium, small], [small, medium]):
        await roomy.keeper.build_due(order, furnishing)
    templates = await roomy.rows.templates()
    assert sorted(template.size for template in templates) == ["medium", "small"]


async def test_pools_are_filled_and_machines_are_handed_out_hot_then_cold_then_booted(roomy):
    await build(roomy)
    await roomy.keeper.tend()
    assert await waiting(roomy) == {MachineState.PAUSED: 2, MachineState.RESTING: 1}
    tiers = []
    for _ in range(4):
        async with roomy.open(await roomy.session()) as opened:
            tiers.append(opened.tier)
            done = await opened.channel.run(["echo", "hi"], timeout_seconds=10)
            assert done.stdout == b"hi\n"
    assert tiers == [Tier.HOT, Tier.HOT, Tier.COLD, Tier.BOOT]
    assert await waiting(roomy) == {}
    assert roomy.pool.claimed.is_set()
    await roomy.keeper.tend()
    assert await waiting(roomy) == {MachineState.PAUSED: 2, MachineState.RESTING: 1}


async def test_a_hundred_claims_at_once_on_four_machines_give_each_to_one(roomy):
    template = await build(roomy)
    for _ in range(4):
        machine = await roomy.registry.clone_row(template, note="")
        await roomy.registry.move(machine.id, MachineState.RESTING)
    sessions = [new_id() for _ in range(100)]
    claims = await asyncio.gather(*(roomy.rows.claim(roomy.order, one, 1) for one in sessions))
    given = [claim[0] for claim in claims if claim is not None]
    assert len(given) == len({machine.id for machine in given}) == 4
    assert len({machine.session_id for machine in given}) == 4


async def resting_of(yard: Yard, template: Template) -> Machine:
    """One more machine that waits at rest, as far as its row goes."""
    machine = await yard.registry.clone_row(template, note="")
    return await yard.registry.move(machine.id, MachineState.RESTING)


async def test_what_waits_is_given_to_who_asks_for_such_a_machine_on_its_host_alone(
    roomy, yard_elsewhere
):
    machine = await resting_of(roomy, await build(roomy))
    order, spec = roomy.order, roomy.order.spec
    others = [
        dataclasses.replace(order, project_id=new_id()),
        dataclasses.replace(order, size="medium"),
    ]
    for name in ("vcpus", "memory_mib", "disk_gib"):
        # As when the settings call something else by the same name since.
        larger = dataclasses.replace(spec, **{name: getattr(spec, name) + 1})
        others.append(dataclasses.replace(order, spec=larger))
    for other in others:
        assert await roomy.rows.claim(other, new_id(), 1) is None
    elsewhere = await yard_elsewhere()
    assert await elsewhere.rows.claim(order, new_id(), 1) is None
    claimed = await roomy.rows.claim(order, new_id(), 1)
    assert claimed is not None
    assert (claimed[0].id, claimed[1]) == (machine.id, Tier.COLD)


async def test_a_hot_machine_is_given_first_and_then_one_of_the_newest_template(roomy):
    old = await build(roomy)
    cold, hot = [await resting_of(roomy, old) for _ in range(2)]
    for state in (MachineState.STARTING, MachineState.RUNNING, MachineState.PAUSED):
        await roomy.registry.move(hot.id, state)
    newer = await resting_of(roomy, await build(roomy, setup="other"))
    claims = [await roomy.rows.claim(roomy.order, new_id(), 1) for _ in range(3)]
    assert [(machine.id, tier) for machine, tier in claims] == [
        (hot.id, Tier.HOT),
        (newer.id, Tier.COLD),
        (cold.id, Tier.COLD),
    ]


async def test_a_machine_that_does_not_come_up_when_claimed_is_replaced_by_the_next(roomy):
    await build(roomy)
    await roomy.keeper.tend()
    hot = [m for m in await roomy.rows.waiting() if m.state is MachineState.PAUSED]
    first = min(hot, key=lambda machine: machine.created_at)
    roomy.host.kill(str(first.id))
    session = await roomy.session()
    async with roomy.open(session) as opened:
        assert opened.machine_id != first.id
        assert opened.tier is Tier.HOT
        assert opened.lost is None
    assert roomy.said(session) == []
    await roomy.became(first.id, MachineState.GONE)


async def test_after_an_upgrade_the_template_is_built_again_and_the_pool_follows(roomy):
    old = await build(roomy)
    await roomy.keeper.tend()
    roomy.host.build = "fake 2"
    new = await build(roomy)
    assert new is not None
    assert new.fingerprint != old.fingerprint
    await roomy.keeper.tend()
    waiting_of = {machine.template_id for machine in await roomy.rows.waiting()}
    assert waiting_of == {new.id}
    assert await build(roomy) is None
    assert list(roomy.host.templates) == [str(new.id)]


async def test_after_an_upgrade_a_cold_machine_and_an_old_template_are_refused_not_tried(roomy):
    old = await build(roomy)
    await roomy.keeper.tend()
    for machine in await roomy.rows.waiting():
        if machine.state is MachineState.PAUSED:
            assert await roomy.stock.remove(machine.id, "so that only a cold one waits")
    roomy.host.build = "fake 2"
    session = await roomy.session()
    async with roomy.open(session) as opened:
        assert (opened.tier, opened.lost) == (Tier.BOOT, None)
    assert roomy.said(session) == []
    await roomy.keeper.tend()
    assert await waiting(roomy) == {}
    (template,) = await roomy.rows.templates()
    assert (template.id, template.state) == (old.id, TemplateState.FAILED)
    assert "made by fake 1, and this is fake 2" in template.note


async def test_a_failed_build_says_at_which_step_and_leaves_nothing(roomy):
    async def furnish(channel: Channel, build_log: BuildLog) -> str:
        async with build_log.step("make"):
            raise StepFailed("`make` ended with status 2", exit_status=2, output="no rule")

    want = wanted(roomy)
    await roomy.keeper.build_due([want], {want.key: furnish})
    (failed,) = await roomy.rows.templates()
    assert (failed.state, failed.note) == (TemplateState.FAILED, "`make` ended with status 2")
    assert failed.steps[-1]["step"] == "make"
    assert (failed.steps[-1]["exit_status"], failed.steps[-1]["output"]) == (2, "no rule")
    assert roomy.host.machines == {}
    assert await build(roomy) is None, "it is not tried again at once"
    async with roomy.open(await roomy.session()) as opened:
        assert opened.tier is Tier.BOOT


async def test_a_build_that_nobody_wants_any_more_is_given_up_and_the_ready_one_stays(roomy):
    ready = await build(roomy)
    begun, changed = asyncio.Event(), wanted(roomy, setup="make all")

    async def furnish(channel: Channel, build_log: BuildLog) -> str:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    building = asyncio.create_task(roomy.keeper.build_due([changed], {changed.key: furnish}))
    await begun.wait()
    under_way = roomy.keeper.building
    assert under_way is not None
    await roomy.keeper.give_up_unwanted(under_way, [changed])
    assert not roomy.keeper.lacking.is_set(), "it is still wanted"
    await roomy.keeper.give_up_unwanted(under_way, [wanted(roomy)])
    await asyncio.wait_for(building, 100)
    assert [one.id for one in await roomy.rows.templates()] == [ready.id]
    given_up = await roomy.rows.template(under_way.id)
    assert given_up is not None
    assert given_up.state is TemplateState.GONE
    assert "definition changed" in str(given_up.note)
    assert (roomy.keeper.building, roomy.host.machines) == (None, {})
    assert roomy.keeper.lacking.is_set(), "what is wanted instead is looked for at once"
    assert await build(roomy) is None, "the ready one is what is wanted"


async def test_machines_that_wait_make_way_for_a_session_s_machine(yards):
    yard = yards.make(running_max=2, demand=limits(hot=1, cold=0), memory_mib_max=100_000)
    await build(yard)
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.PAUSED: 1}
    other = dataclasses.replace(yard.order, size="medium")
    async with yard.open(await yard.session(), order=other) as first:
        assert first.tier is Tier.BOOT
        async with yard.open(await yard.session(), order=other) as second:
            assert second.tier is Tier.BOOT
    assert await waiting(yard) == {}


async def test_a_session_gets_the_room_of_what_is_expected_to_be_used_least(yards):
    yard = yards.make(running_max=3, demand=limits(hot=1, cold=0), memory_mib_max=100_000)

    async def furnish(channel: Channel, build_log: BuildLog) -> str:
        return "c1"

    wants = [
        Wanted(order=dataclasses.replace(yard.order, size=size), ingredients=(), commit="c1")
        for size in ("medium", "small")
    ]
    for _ in wants:
        await yard.keeper.build_due(wants, {want.key: furnish for want in wants})
    await yard.keeper.tend()
    waits = {machine.size: machine for machine in await yard.rows.waiting()}
    # Without what is expected the one made last would go.
    await yard.put(waits["small"].id, used_at=datetime.now(UTC))
    for _ in range(3):
        asked = yard.rows.asked(yard.order)
        await yard.rows.handed_out(asked, waits["small"].id, Tier.HOT, 0.1)
    await yard.keeper.tend()
    large = dataclasses.replace(yard.order, size="large")
    async with yard.open(await yard.session(), order=large):
        async with yard.open(await yard.session(), order=large):
            pass
        assert [machine.size for machine in await yard.rows.waiting()] == ["small"]


@pytest.fixture
def small_private(monkeypatch):
    monkeypatch.setattr(vmpool.warm.stock, "private_mib", lambda pid: 4)


async def filled_of(yards, *, memory_mib_max: int, hot: int = 4) -> Yard:
    """A host with this budget, and machines that wait hot and take 4 MiB each."""
    yard = yards.make(running_max=12, memory_mib_max=memory_mib_max, demand=limits(hot, 0))
    await build(yard)
    for _ in range(2):
        await yard.keeper.tend()
    return yard


async def test_a_machine_that_waits_is_counted_with_what_it_was_measured_to_take(
    yards, small_private
):
    yard = await filled_of(yards, memory_mib_max=300)
    hot = [m for m in await yard.rows.waiting() if m.state is MachineState.PAUSED]
    assert {machine.facts["private_mib"] for machine in hot} == {4}
    assert len(hot) == 4
    assert (await yard.pool.spare()).memory_mib == 300 - 4 * 4


async def test_a_hot_machine_counts_whole_once_it_is_handed_out_and_others_make_way_for_it(
    yards, small_private
):
    yard = await filled_of(yards, memory_mib_max=300)
    first, second = await yard.session(), await yard.session()
    machine_id = await yard.opened(first)
    assert (await yard.pool.spare()).memory_mib == 300 - (128 + HYPERVISOR_MIB) - 3 * 4
    async with yard.open(second) as opened:
        assert opened.tier is Tier.HOT
        assert await waiting(yard) == {}, "what waits goes first"
        assert await yard.state(machine_id) is MachineState.RESTING, "then who idles"
    assert yard.said(first) == ["resting"]
    assert (await yard.pool.spare()).memory_mib == 300 - (128 + HYPERVISOR_MIB)


async def test_a_hot_machine_for_which_there_is_no_room_waits_on_as_nobody_s(yards, small_private):
    yard = await filled_of(yards, memory_mib_max=300)
    busy, late = await yard.session(), await yard.session()
    async with yard.open(busy) as opened:
        with pytest.raises(NoRoom, match="of 300 MiB"):
            await yard.opened(late)
        (machine,) = await yard.rows.waiting()
        assert (machine.state, machine.facts.get("token")) == (MachineState.PAUSED, None)
        assert "of 300 MiB" in (machine.note or "")
        assert await yard.registry.of_session(late) is None
        assert (await yard.pool.spare()).memory_mib == 300 - (128 + HYPERVISOR_MIB) - 4
    assert await yard.opened(late) == machine.id
    assert await yard.state(opened.machine_id) is MachineState.RESTING
    assert yard.said(late) == []


async def test_four_claims_at_once_never_take_more_than_the_budget(yards, small_private):
    yard = await filled_of(yards, memory_mib_max=450)
    over = asyncio.Event()
    ended = []

    async def turn(session) -> None:
        try:
            async with yard.open(session):
                ended.append("open")
                await over.wait()
        except NoRoom:
            ended.append("refused")
        if len(ended) == 4:
            over.set()

    sessions = [await yard.session() for _ in range(4)]
    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        for session in sessions:
            group.create_task(turn(session))
        while len(ended) < 4:
            assert (await yard.pool.spare()).memory_mib >= 0
            await asyncio.sleep(0)
    assert sorted(ended) == ["open", "open", "refused", "refused"]


async def test_a_session_that_asks_for_another_size_gets_another_machine(roomy):
    session = await roomy.session()
    machine_id = await roomy.opened(session)
    larger = dataclasses.replace(roomy.order, size="medium")
    async with roomy.open(session, order=larger) as opened:
        assert opened.machine_id == machine_id
    insisting = dataclasses.replace(larger, insist=True)
    async with roomy.open(session, order=insisting) as opened:
        assert opened.machine_id != machine_id
        assert opened.lost == "a medium one was asked for, and it was small"
    assert await roomy.state(machine_id) is MachineState.GONE


async def test_a_host_that_is_short_of_memory_lets_go_of_what_waits_and_then_of_who_idles(yards):
    available = 10_000
    yard = yards.make(
        **ROOMY,
        demand=limits(hot=1, cold=0),
        memory=lambda: HostMemory(total_mib=16_000, available_mib=available),
    )
    await build(yard)
    await yard.keeper.tend()
    other = dataclasses.replace(yard.order, size="medium")
    async with yard.open(await yard.session(), order=other) as idle:
        pass
    async with yard.open(await yard.session(), order=other) as busy:
        assert not await yard.pool.relieve()
        available = 100
        assert await yard.pool.relieve()
        assert await waiting(yard) == {}
        assert await yard.state(idle.machine_id) is MachineState.RUNNING
        assert await yard.pool.relieve()
        assert await yard.state(idle.machine_id) is MachineState.RESTING
        assert not await yard.pool.relieve()
        assert await yard.state(busy.machine_id) is MachineState.RUNNING
