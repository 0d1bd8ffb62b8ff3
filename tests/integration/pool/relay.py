"""One process of ours after the other on the same host, each killed at its next step."""

import contextlib
from collections.abc import Awaitable, Callable
from uuid import UUID

from tests.fakes.mortal import Killed, Mortal
from tests.integration.pool.conftest import Yard, Yards
from tests.integration.pool.test_pools import ROOMY, limits
from vmpool.machine import MachineState, TemplateState
from vmpool.reconcile import reconcile

STEPS_MAX = 60

Act = Callable[[Yard], Awaitable[None]]


class Relay:
    """Kills whoever does something after its first, second, … step, and looks what is left."""

    def __init__(self, yards: Yards, *, hot: int = 0, cold: int = 0) -> None:
        """`hot` and `cold` machines wait, once there is a template."""
        self._yards = yards
        self._demand = limits(hot=hot, cold=cold)
        self._full = {MachineState.PAUSED: hot, MachineState.RESTING: cold}
        self._told: list[tuple[UUID, str]] = []
        self._owners: dict[UUID, UUID] = {}
        """Of every machine that ever worked for a session."""
        self.mortal = Mortal()
        self.yard: Yard = self._start()

    def _start(self) -> Yard:
        self.mortal = Mortal()
        return self._yards.make(**ROOMY, demand=self._demand, mortal=self.mortal)

    async def restarted(self) -> Yard:
        """The next process, after what it does at its start."""
        with contextlib.suppress(Killed):
            # Its memory is gone with it: connections, watchers.
            await self.yard.pool.care.close()
        self._told += [(session, state) for session, state, _ in self.yard.told]
        # Leases go on counting, whoever holds them.
        tokens, self.yard = self.yard.tokens, self._start()
        self.yard.tokens = tokens
        await reconcile(self.yard.pool, self.yard.registry, self.yard.driver)
        await self.yard.keeper.repair()
        return self.yard

    def said(self, session_id: UUID) -> list[str]:
        """The states that the session was told, by whichever process."""
        earlier = [state for session, state in self._told if session == session_id]
        return earlier + self.yard.said(session_id)

    async def survives(
        self, act: Act, *, before: Act | None = None, after: Act | None = None
    ) -> int:
        """Do it in a process that is killed after its first, second, … step; how many it has.

        `before` it a process does what lets it be done, `after` the kill the next one looks.
        """
        for steps in range(STEPS_MAX):
            if before is not None:
                await before(self.yard)
            self.mortal.kill_after(steps)
            with contextlib.suppress(Exception):
                await act(self.yard)
            if len(self.mortal.steps) < steps:
                return steps
            yard = await self.restarted()
            await self.nothing_leaks(yard)
            if after is not None:
                await after(yard)
        raise AssertionError(f"more than {STEPS_MAX} steps")

    async def nothing_leaks(self, yard: Yard) -> None:
        """Rows and host agree, no machine changed hands, and the pool is filled again."""
        await yard.keeper.tend()
        rows = {str(machine.id): machine for machine in await yard.registry.mine()}
        assert rows.keys() == yard.host.machines.keys()
        states = [machine.state for machine in await yard.rows.waiting()]
        assert {state: states.count(state) for state in {*self._full, *states}} == self._full
        await self._templates_are_one(yard)
        for machine in rows.values():
            process = yard.host.machines[str(machine.id)]
            assert process.paused == (machine.state is MachineState.PAUSED)
            assert process.running == (machine.state in {MachineState.PAUSED, MachineState.RUNNING})
            if machine.session_id is not None:
                self._owners.setdefault(machine.id, machine.session_id)
            assert machine.session_id == self._owners.get(machine.id)

    async def _templates_are_one(self, yard: Yard) -> None:
        kept = await yard.rows.templates(TemplateState.READY, TemplateState.RETIRED)
        assert {str(one.id) for one in kept} == yard.host.templates.keys()
        ready = [one for one in kept if one.state is TemplateState.READY]
        assert len(ready) == (1 if any(self._full.values()) else 0)
