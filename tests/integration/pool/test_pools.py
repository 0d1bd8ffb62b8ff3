"""Templates built, machines that wait made and handed out, over a host that behaves."""

import pytest

from tests.integration.pool.conftest import Yard
from vmpool.channel import Channel
from vmpool.machine import MachineState, Template, TemplateState, Tier
from vmpool.warm.building import BuildLog
from vmpool.warm.sizing import SizingLimits
from vmpool.warm.templates import Wanted

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
