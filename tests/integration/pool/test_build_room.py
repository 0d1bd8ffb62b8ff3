"""A template is built where there is room for its machine, and for people's besides."""

import pytest
from sqlalchemy import select

from tests.integration.pool.conftest import SPEC
from tests.integration.pool.test_pools import build, limits
from vmpool.decide import HYPERVISOR_MIB
from vmpool.machine import MachineState, TemplateState, TemplateWait

EACH_MIB = SPEC.memory_mib + HYPERVISOR_MIB


async def whys_of(yard) -> list[str]:
    """Why templates that are to be built are not, as it was written down last."""
    async with yard.town.database.begin() as tx:
        return list((await tx.execute(select(TemplateWait.why))).scalars())


@pytest.mark.parametrize(
    "bounds",
    [
        {"running_max": 1},
        {"running_max": 12, "memory_mib_max": 2 * EACH_MIB - 1},
        {"running_max": 2, "running_for_people": 1},
    ],
    ids=["machines", "memory", "kept for people"],
)
async def test_none_is_built_while_sessions_use_what_there_is(yards, bounds):
    yard = yards.make(**bounds, demand=limits(hot=0, cold=0))
    session = await yard.session()
    async with yard.open(session) as opened:
        assert await build(yard) is None
        assert set(yard.host.machines) == {str(opened.machine_id)}
        assert await yard.rows.templates() == []
        (why,) = await whys_of(yard)
        assert why.startswith("there is none yet; ")
        assert "this host" in why
    template = await build(yard)
    assert await build(yard) is None
    assert await whys_of(yard) == []
    assert template is not None
    assert template.state is TemplateState.READY
    # It idled, and made way if need was, as for anybody else.
    makes_way = "running_for_people" not in bounds
    state = MachineState.RESTING if makes_way else MachineState.RUNNING
    assert await yard.state(opened.machine_id) is state
    assert await yard.opened(session) == opened.machine_id
