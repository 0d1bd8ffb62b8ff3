"""The database goes away before any transaction, for as long as what is done there takes.

Or in the moment in which one was committed: it is done, and whoever did it takes it for failed.

The process lives on: when the database is back it looks around, and nothing is lost or left.
"""

import contextlib
from collections.abc import Awaitable, Callable

import pytest

from tests.fakes.cut import Cut, Unanswered
from tests.integration.pool.conftest import Yard
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.machine import MachineState, TemplateState, Tier
from vmpool.reconcile import reconcile

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]
CUTS_MAX = 60
Act = Callable[[], Awaitable[object]]


class Outages:
    """One host, whose database goes away at one transaction after the other."""

    def __init__(self, yards, cut: Cut, *, hot: int = 0, cold: int = 0) -> None:
        self.cut = cut
        demand = limits(hot=hot, cold=cold)
        self.yard: Yard = yards.make(**ROOMY, demand=demand, mortal=self.cut)
        self._full = {
            state: count
            for state, count in {MachineState.PAUSED: hot, MachineState.RESTING: cold}.items()
            if count
        }

    async def survives(self, act: Act, *, before: Act | None = None, after: Act) -> int:
        """Do it with the database away from its first, second, … transaction on; how many."""
        for transactions in range(CUTS_MAX):
            if before is not None:
                await before()
            self.cut.after(transactions)
            with contextlib.suppress(Exception):
                await act()
            failed = self.cut.failed
            self.cut.over()
            if not failed:
                return transactions
            await self.repaired()
            await after()
        raise AssertionError(f"more than {CUTS_MAX} transactions")

    async def repaired(self) -> None:
        """What the clocks of a host do; then rows and host agree."""
        yard = self.yard
        for _ in range(2):
            await reconcile(yard.pool, yard.registry, yard.driver)
        yard.stock._breakers.clear()
        if self._full:
            await yard.keeper.tend()
            assert await waiting(yard) == self._full
        rows = {str(machine.id): machine for machine in await yard.registry.mine()}
        assert rows.keys() == yard.host.machines.keys()
        for machine in rows.values():
            process = yard.host.machines[str(machine.id)]
            assert process.paused == (machine.state is MachineState.PAUSED)
            assert process.running == (machine.state in {MachineState.PAUSED, MachineState.RUNNING})
            assert process.running == yard.pool.care.watches(machine.id)


@pytest.fixture(params=[Cut, Unanswered])
def cut(request) -> Cut:
    return request.param()


async def begun(yard: Yard):
    """A session, its machine and the boot whose memory is in it."""
    session = await yard.session()
    async with yard.open(session) as opened:
        return session, opened.machine_id, opened.channel.boot


def is_as_before(yard: Yard, session, machine_id, boot) -> Act:
    async def look() -> None:
        async with yard.open(session) as opened:
            assert (opened.machine_id, opened.lost) == (machine_id, None)
            assert opened.channel.boot == boot
        assert set(yard.said(session)) <= {"resting"}

    return look


async def test_a_cut_anywhere_in_a_hibernation_loses_no_memory(yards, cut):
    outages = Outages(yards, cut)
    yard = outages.yard
    session, machine_id, boot = await begun(yard)

    async def rest() -> None:
        await yard.pool.rest(machine_id)

    after = is_as_before(yard, session, machine_id, boot)
    assert await outages.survives(rest, after=after) >= 4


async def test_a_cut_anywhere_in_a_resume_loses_no_memory(yards, cut):
    outages = Outages(yards, cut)
    yard = outages.yard
    session, machine_id, boot = await begun(yard)

    async def rested() -> None:
        assert await yard.pool.rest(machine_id)

    async def resume() -> None:
        await yard.opened(session)

    after = is_as_before(yard, session, machine_id, boot)
    assert await outages.survives(resume, before=rested, after=after) >= 4


@pytest.mark.parametrize("tier", [Tier.HOT, Tier.COLD, Tier.BOOT])
async def test_a_cut_anywhere_while_a_machine_is_handed_out_leaves_one_or_none(yards, cut, tier):
    outages = Outages(yards, cut, hot=tier is Tier.HOT, cold=tier is Tier.COLD)
    yard = outages.yard
    if tier is not Tier.BOOT:
        await build(yard)
        await yard.keeper.tend()
    sessions = []

    async def asks() -> None:
        sessions.append(await yard.session())

    async def get() -> None:
        await yard.opened(sessions[-1])

    async def after() -> None:
        machine = await yard.registry.of_session(sessions[-1])
        async with yard.open(sessions[-1]) as opened:
            assert machine is None or opened.machine_id == machine.id
            done = await opened.channel.run(["echo", "on"], timeout_seconds=10)
            assert done.stdout == b"on\n"
        assert await yard.pool.destroy(opened.machine_id, "so that there is room")
        await yard.keeper.tend()

    assert await outages.survives(get, before=asks, after=after) >= 3


@pytest.mark.parametrize("state", ["running", "resting"])
async def test_a_cut_anywhere_in_a_removal_is_made_up_for(yards, cut, state):
    outages = Outages(yards, cut)
    yard = outages.yard
    session = await yard.session()
    machines = []

    async def asked() -> None:
        machines.append(await yard.opened(session))
        if state == "resting":
            assert await yard.pool.rest(machines[-1])
        await yard.put(machines[-1], request="destroy")

    async def after() -> None:
        await yard.pool.obey()
        assert await yard.state(machines[-1]) is MachineState.GONE
        assert yard.said(session).count("gone") >= len(machines)

    assert await outages.survives(yard.pool.obey, before=asked, after=after) >= 4


async def test_a_cut_anywhere_after_a_machine_s_end_is_told_all_the_same(yards, cut):
    outages = Outages(yards, cut)
    yard = outages.yard
    session = await yard.session()
    ends = []

    async def runs() -> None:
        machine_id = await yard.opened(session)
        yard.pool.care._unwatch(machine_id)
        ends.append(machine_id)

    async def end() -> None:
        yard.host.kill(str(ends[-1]))
        await yard.pool.care.lose(ends[-1], "its process ended")

    async def after() -> None:
        assert await yard.state(ends[-1]) is MachineState.GONE
        assert set(yard.said(session)) == {"lost"}
        assert len(yard.said(session)) >= len(ends)

    assert await outages.survives(end, before=runs, after=after) >= 3


async def test_a_cut_anywhere_while_a_pool_is_filled_leaves_nothing_half_made(yards, cut):
    outages = Outages(yards, cut, hot=1, cold=1)
    yard = outages.yard
    await build(yard)
    await yard.keeper.tend()

    async def fill() -> None:
        for machine in await yard.rows.waiting():
            await yard.stock.remove(machine.id, "so that it is made again")
        await yard.keeper.tend()

    async def after() -> None:
        pass

    assert await outages.survives(fill, after=after) > 12


async def test_a_cut_anywhere_in_a_build_keeps_no_later_one_from_being_made(yards, cut):
    outages = Outages(yards, cut)
    yard = outages.yard
    setups = iter(f"setup {number}" for number in range(2 * CUTS_MAX))

    async def rebuild() -> None:
        await build(yard, setup=next(setups))

    async def after() -> None:
        built = await build(yard, setup=next(setups))
        assert built is not None
        assert built.state is TemplateState.READY
        assert yard.host.machines == {}
        kept = await yard.rows.templates(TemplateState.READY, TemplateState.RETIRED)
        assert {str(one.id) for one in kept} == yard.host.templates.keys()
        assert await yard.rows.templates(TemplateState.BUILDING) == []

    # What is left of a build whose end could not be written down is found by the next one.
    outages.repaired = nothing
    assert await outages.survives(rebuild, after=after) > 8


async def nothing() -> None:
    pass
