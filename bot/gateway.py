"""The gateway of this host, with all that it asks: policies, routes, the meter, the audit."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from adapters.agent.port import Server
from bot.config import Settings
from bot.conversation.agent_reminders import remind
from bot.conversation.children import begin_child
from bot.govern.egress import EgressAudit
from bot.govern.grants import Grants
from bot.govern.halting import HaltWatch
from bot.govern.installation import read_installation_policy
from bot.govern.policy import Policies
from bot.govern.spending import Spending
from bot.ground import Ground
from bot.work.agent_previews import make_preview
from bot.work.branches import BranchRows
from bot.work.destinations import AskingPeople
from bot.work.metering import Metering, limits_of
from bot.work.routes import GATEWAY_URL, CodeHost, Routes, Working, machine_environment
from bot.work.running import Running
from bot.work.tools import server
from bot.work.way_out import Cutting, WaysOut
from vmpool.network.gateway import Gateway
from vmpool.network.gateway.routes import Route
from vmpool.network.gateway.rows import NameRows


@dataclass(frozen=True, kw_only=True)
class WayOut:
    """What a host has of it."""

    gateway: Gateway
    spending: Spending
    environment: Mapping[str, str]
    """Of jobs in machines: what its routes are found by."""
    servers: Sequence[Server]
    """What agents in machines are told of: our tools."""


@asynccontextmanager
async def gateway_open(base: Ground, grants: Grants | None) -> AsyncIterator[WayOut]:
    """The only way out of the machines of this host, while inside."""
    settings, database = base.settings, base.database
    installation = await asyncio.to_thread(read_installation_policy, settings.policy)
    policies = Policies(database, installation, listener=base.listener)
    spending, running = Spending(database, limits_of(settings.budget)), Running(database)
    metering = Metering(database, spending, settings.models)
    audit, over = EgressAudit(database), asyncio.Event()
    routes = Routes(
        running=running,
        meter=metering,
        branches=BranchRows(database),
        models=settings.models,
        code_hosts=code_hosts(settings),
        grants=grants.memory if grants is not None else None,
        preview=partial(make_preview, settings, database),
        used=audit.used,
    )

    tools = server.open_route(
        database,
        running,
        begin=begin_child,
        remind=remind,
        hosts=code_hosts(settings),
        headers=routes.api_headers,
        question_seconds=settings.turn.question_seconds_max,
    )

    async def routes_of(project_id: UUID, repositories: Sequence[str]) -> tuple[Route, ...]:
        document = (await policies.effective(project_id)).document
        project = Working(id=project_id, repositories=repositories, document=document)
        return (*routes.of(project), tools)

    async def asks_people(project_id: UUID) -> bool:
        document = (await policies.effective(project_id)).document
        return settings.policy.ask and document.egress.ask

    watch = HaltWatch(database, base.listener)
    await watch.refresh()
    ways = WaysOut(
        database,
        policies.policy_of,
        routes_of,
        lambda project, person: watch.halted(project_id=project, person_id=person),
        asks_people,
    )
    auditing = asyncio.create_task(audit.run(over))
    gateway = Gateway(
        access=ways.access,
        audit=audit.take,
        names=NameRows(database.session),
        asks=AskingPeople(database, asks_people),
    )
    cutting = Cutting(ways, gateway)
    watch.on_change(cutting.look)
    watching = asyncio.create_task(watch.run(over))
    try:
        yield WayOut(
            gateway=gateway,
            spending=spending,
            environment=machine_environment(settings.models, code_hosts(settings)),
            servers=(Server(name="ona", url=f"{GATEWAY_URL}{tools.prefix}{server.MCP}"),),
        )
    finally:
        await gateway.close()
        policies.close()
        over.set()
        await asyncio.gather(auditing, watching)
        await cutting.close()


def code_hosts(settings: Settings) -> Sequence[CodeHost]:
    """The forges that the settings name."""
    found = []
    if settings.github.app_id is not None:
        github = settings.github
        found.append(CodeHost(surface="github", git_base=github.url, api_base=github.api_url))
    if settings.gitlab.token is not None:
        url = settings.gitlab.url
        found.append(CodeHost(surface="gitlab", git_base=url, api_base=f"{url}/api/v4"))
    return found
