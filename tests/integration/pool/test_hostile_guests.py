"""Guests that are not ours any more: what they say breaks nothing but their own machine."""

import pytest

from tests.fakes.driver_trouble import LyingGuest
from tests.integration.pool.conftest import Yard
from tests.integration.pool.test_pools import ROOMY, build, limits
from vmpool.errors import StaleToken
from vmpool.machine import MachineState, Tier
from vmpool.reconcile import reconcile

UNSTORABLE = "no\x00\ud800" + "!" * 10_000
"""What no column takes, and more than anybody reads."""
HELLO = {"op": "hello", "protocol": 1, "boot": "b", "token": 1}
LIES = {
    "refuses in words that no column takes": {"op": "refused", "why": UNSTORABLE},
    "was told another generation": {**HELLO, "generation": 7},
    "was told a number without end": {**HELLO, "generation": 10**400},
    "says what is no word": {"op": ["hello"]},
    "says that a newer lease was there": {"op": "refused", "why": "stale token"},
}


async def resting(yard: Yard):
    """A session and its machine, which rests."""
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest(machine_id)
    return session, machine_id


def lies(yard, machine_id, words) -> None:
    """From now on the machine's guest says these, and nothing else."""
    yard.host.machines[str(machine_id)].guest = LyingGuest(**words)


@pytest.mark.parametrize("how", LIES)
async def test_a_machine_whose_guest_lies_is_lost_and_the_turn_gets_another(yard, how):
    session, machine_id = await resting(yard)
    lies(yard, machine_id, LIES[how])
    async with yard.open(session) as opened:
        assert opened.fresh
        assert opened.lost
        assert "\x00" not in opened.lost
        opened.lost.encode()
    assert yard.said(session) == ["resting"], "the turn tells it"
    assert await yard.state(machine_id) is MachineState.GONE
    assert set(yard.host.machines) == {str(opened.machine_id)}


@pytest.mark.parametrize("how", LIES)
async def test_so_is_one_that_runs_when_its_guest_begins_to_lie(yard, how):
    session = await yard.session()
    async with yard.open(session) as opened:
        await opened.channel.close()
    yard.host.hang_up(yard.host.machines[str(opened.machine_id)])
    lies(yard, opened.machine_id, LIES[how])
    async with yard.open(session) as again:
        assert again.machine_id != opened.machine_id
        assert again.lost
    assert yard.said(session) == [], "the turn tells it"
    assert set(yard.host.machines) == {str(again.machine_id)}


@pytest.mark.parametrize("how", LIES)
async def test_no_guest_keeps_a_new_process_from_taking_the_others_over(yards, yard, how):
    session, machine_id = await resting(yard)
    honest = await yard.session()
    runs = await yard.opened(honest)
    await yard.pool.close()
    # As when the process was killed right after the resume.
    await yard.registry.move(machine_id, MachineState.STARTING)
    await yard.driver.resume(str(machine_id))
    lies(yard, machine_id, LIES[how])
    again = yards.make()
    again.tokens = yard.tokens
    await reconcile(again.pool, again.registry, again.driver)
    assert await again.state(machine_id) is MachineState.GONE
    assert again.said(session) == ["lost"]
    assert await again.opened(honest) == runs


async def test_a_machine_that_waits_and_whose_guest_lies_is_replaced_by_the_next(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=0, cold=2))
    await build(yard)
    await yard.keeper.tend()
    liar, honest = sorted(await yard.rows.waiting(), key=lambda machine: machine.created_at)
    lies(yard, liar.id, {"op": "refused", "why": "stale token"})
    session = await yard.session()
    async with yard.open(session) as opened:
        assert (opened.machine_id, opened.tier) == (honest.id, Tier.COLD)
    assert await yard.state(liar.id) is MachineState.GONE
    assert yard.said(session) == []


async def test_the_last_words_of_a_guest_are_told_in_words_that_can_be_kept(yard):
    session = await yard.session()
    machine_id = await yard.opened(session)
    machine = yard.host.machines[str(machine_id)]
    yard.host.end(machine, f"the guest's kernel panicked: {UNSTORABLE}")
    await yard.became(machine_id, MachineState.GONE)
    assert yard.said(session) == ["lost"]
    assert "the guest's kernel panicked: no" in yard.why()
    assert "\x00" not in yard.why()


async def test_whoever_comes_with_an_old_lease_cuts_no_visitor_off(yard):
    session = await yard.session()
    await yard.opened(session)
    await yard.opened(session)

    async def step(name: str) -> None:
        pass

    async with yard.pool.visits.enter(session, step) as visit:
        with pytest.raises(StaleToken):
            async with yard.open(session, token=1):
                pass
        assert not visit.channel.lost.is_set()
        done = await visit.channel.run(["echo", "on"], timeout_seconds=10)
        assert done.stdout == b"on\n"
