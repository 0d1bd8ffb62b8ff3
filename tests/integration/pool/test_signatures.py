"""Machines handed out while nobody signs certificates, and after."""

import pytest

from tests.integration.pool.conftest import Yard, Yards
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.errors import NoSignature
from vmpool.machine import MachineState, Tier
from vmpool.ssh import Kind, Signer


class AwaySigner:
    """Signs as another one does, except while it is away."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.away = False

    async def authorities(self) -> tuple[str, str]:
        return await self._signer.authorities()

    async def sign(
        self, kind: Kind, public_key: str, *, name: str, principal: str, seconds: int
    ) -> str:
        if self.away:
            raise NoSignature("nobody signs")
        return await self._signer.sign(
            kind, public_key, name=name, principal=principal, seconds=seconds
        )


@pytest.fixture
def signer(yards: Yards) -> AwaySigner:
    yards._authority._signer = found = AwaySigner(yards._authority._signer)
    return found


async def filled(yards: Yards, *, hot: int, cold: int) -> Yard:
    yard = yards.make(**ROOMY, demand=limits(hot=hot, cold=cold))
    await build(yard)
    await yard.keeper.tend()
    return yard


async def test_a_hot_machine_needs_no_signature(yards, signer):
    yard = await filled(yards, hot=1, cold=0)
    signer.away = True
    async with yard.open(await yard.session()) as opened:
        assert opened.tier is Tier.HOT
        done = await opened.channel.run(["echo", "hi"], timeout_seconds=10)
        assert done.stdout == b"hi\n"


async def test_a_hot_machine_whose_connection_was_lost_waits_until_somebody_signs(yards, signer):
    yard = await filled(yards, hot=1, cold=0)
    (machine,) = await yard.rows.waiting()
    await yard.pool.care._disconnect(machine.id)
    signer.away = True
    session = await yard.session()
    with pytest.raises(NoSignature):
        await yard.opened(session)
    assert await waiting(yard) == {MachineState.PAUSED: 1}
    assert "nobody signs" in ((await yard.row(machine.id)).note or "")
    signer.away = False
    assert await yard.opened(session) == machine.id


async def test_a_cold_machine_is_the_session_s_and_rests_until_somebody_signs(yards, signer):
    yard = await filled(yards, hot=0, cold=1)
    (machine,) = await yard.rows.waiting()
    signer.away = True
    session = await yard.session()
    with pytest.raises(NoSignature):
        await yard.opened(session)
    claimed = await yard.row(machine.id)
    assert (claimed.state, claimed.session_id) == (MachineState.RESTING, session)
    assert not yard.host.machines[str(machine.id)].running
    signer.away = False
    assert await yard.opened(session) == machine.id
    assert yard.said(session) == []


async def test_nothing_is_booted_until_somebody_signs(yards, signer):
    yard = yards.make()
    signer.away = True
    session = await yard.session()
    with pytest.raises(NoSignature):
        await yard.opened(session)
    assert (await yard.registry.mine(), yard.host.machines) == ([], {})
    signer.away = False
    async with yard.open(session) as opened:
        assert opened.tier is Tier.BOOT


async def test_a_refill_is_called_for_when_a_machine_is_handed_out_not_before(yards, monkeypatch):
    yard = await filled(yards, hot=1, cold=0)
    seen, unpause = [], yard.driver.unpause

    async def looks(machine_id: str) -> None:
        seen.append(yard.pool.claimed.is_set())
        await unpause(machine_id)

    monkeypatch.setattr(yard.driver, "unpause", looks)
    async with yard.open(await yard.session()):
        assert (seen, yard.pool.claimed.is_set()) == ([False], True)
