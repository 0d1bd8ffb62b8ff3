"""Machines that run the real guest program, a relay before them, and a web server to ask."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bot.govern.visit_grants import VisitGrant
from bot.work.relay import Relay
from bot.work.relays import Opened, Relays
from tests.fakes.guest import HostedGuest, me
from tests.integration.conftest import Town
from tests.integration.pool.conftest import Yard, Yards
from tests.integration.web.site import Site, running_site
from tests.support.visits import relay_running
from vmpool.machine import MachineState
from vmpool.ssh import Authority


@dataclass(kw_only=True)
class Street:
    """One host with its relay, and the installation's web server."""

    site: Site
    yard: Yard
    yards: Yards
    authority: Authority
    directory: Path
    stack: AsyncExitStack

    async def relay(self, **more: Any) -> Relay:
        """Begin to take visitors."""
        opening = relay_running(
            self.site,
            self.directory,
            pool=self.yard.pool,
            registry=self.yard.registry,
            authority=self.authority,
            user=me(),
            **more,
        )
        return await self.stack.enter_async_context(opening)

    async def session(self, *, resting: bool = False) -> tuple[UUID, str]:
        """A session whose machine runs or rests: its id and its short one."""
        session_id = await self.yard.session()
        machine_id = await self.yard.opened(session_id)
        if resting:
            assert await self.yard.pool.rest(machine_id)
        ((short,),) = await self.site.rows(
            "SELECT short FROM session WHERE id = :id", id=session_id
        )
        return session_id, short

    async def state(self, session_id: UUID) -> MachineState:
        """Of the session's machine."""
        machine = await self.yard.registry.of_session(session_id)
        assert machine is not None
        return machine.state

    async def guest(self, session_id: UUID) -> HostedGuest:
        """The guest program of the session's machine."""
        machine = await self.yard.registry.of_session(session_id)
        assert machine is not None
        return self.yards._guests[str(machine.id)]

    def grant(self, session_id: UUID, kind: Any = "ssh", port: int = 0) -> VisitGrant:
        """What `ona serve` would allow Ann."""
        return VisitGrant(session_id=session_id, person_id=self.site.ann, kind=kind, port=port)

    async def open(self, session_id: UUID, kind: Any = "ssh", port: int = 0) -> Opened:
        """A connection through the relay, without a web server before it."""
        return await Relays(self.site.database).open(self.grant(session_id, kind, port))


@pytest.fixture
async def street(database_url, tmp_path) -> AsyncIterator[Street]:
    authority = await Authority.load(tmp_path / "ca")
    async with running_site(database_url, tmp_path) as site, AsyncExitStack() as stack:
        town = Town(
            database=site.database,
            inbox=site.services.inbox,
            host_id=site.host_id,
            people={"Ann": site.ann, "Bo": site.bo},
        )
        yards = Yards(town, stack, authority)
        yield Street(
            site=site,
            yard=yards.make(),
            yards=yards,
            authority=authority,
            directory=tmp_path / "host",
            stack=stack,
        )
