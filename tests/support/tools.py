"""A session whose agent asks us through a real gateway, with the protocol's own client."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from bot.conversation.agent_reminders import remind
from bot.conversation.children import begin_child
from bot.work.routes import CodeHost
from bot.work.running import Running
from bot.work.tools import server
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import DEMO, Town
from tests.support.gateway import LOOPBACK, Rig, rig
from tests.support.shift import Shift, until
from vmpool.network.gateway.ports import Identity, Refused

URL = "http://gateway.ona/tools/mcp"
RUNNING = "SELECT count(*) FROM turn WHERE state = 'running'"


@dataclass
class Desk:
    """A turn that runs until `go` is there, and its machine's gateway."""

    at: Rig
    town: Town
    go: Path
    session: UUID
    short: str
    headers: dict[str, str]
    """What the turn's grant adds; empty: it has none."""
    shift: Shift

    def http(self, **more) -> httpx2.AsyncClient:
        """As a program in the machine speaks HTTP."""
        proxy = f"http://{LOOPBACK}:{self.at.proxy}"
        return httpx2.AsyncClient(proxy=proxy, timeout=30, trust_env=False, **more)

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Client]:
        """An agent's client, connected."""
        async with self.http() as http, Client(streamable_http_client(URL, http_client=http)) as it:
            yield it

    async def call(self, tool: str, **arguments) -> tuple[str, bool]:
        """One call: what the agent reads, and whether that is an error."""
        async with self.agent() as agent:
            found = await agent.call_tool(tool, arguments)
            (part,) = found.content
            return part.text, bool(found.is_error)

    async def said(self, tool: str, **arguments) -> str:
        """What the agent reads of a call that is done."""
        text, is_error = await self.call(tool, **arguments)
        assert not is_error, text
        return text

    async def refused(self, tool: str, **arguments) -> str:
        """Why a call is refused."""
        text, is_error = await self.call(tool, **arguments)
        assert is_error, text
        return text

    async def post(self, body: bytes, path: str = "mcp", **headers: str) -> httpx2.Response:
        """A request as it is."""
        kind = {"Content-Type": "application/json"}
        async with self.http() as http:
            return await http.post(
                f"http://gateway.ona/tools/{path}", content=body, headers={**kind, **headers}
            )

    async def events(self, kind: str) -> list[dict]:
        """The bodies of the session's events of a kind."""
        rows = await self.town.rows(
            "SELECT body FROM turn_event WHERE session_id = :s AND kind = :k ORDER BY number",
            s=self.session,
            k=kind,
        )
        return [body for (body,) in rows]

    async def stop_working(self) -> None:
        """The worker's process ends; what waits for a person waits on."""
        await self.shift.__aexit__()

    async def end(self) -> None:
        """Let the turn end."""
        self.go.touch()
        await until(self.town, RUNNING, lambda rows: rows[0][0] == 0)


@asynccontextmanager
async def desk(
    town: Town,
    places: GuestWorkplaces,
    tmp_path: Path,
    *,
    before: str = "",
    hosts: Sequence[CodeHost] = (),
    wait_seconds: float = 10,
) -> AsyncIterator[Desk]:
    """A running turn of Ann's.

    :param before: what stands before her prompt, such as `private:`
    :param wait_seconds: for which a call waits for an answer
    """
    added: dict[str, str] = {}

    async def headers(_who: Identity, host: CodeHost, _beside: str) -> Mapping[str, str]:
        if not added:
            raise Refused(f"The project's policy has no grant for {host.prefix}.")
        return added

    async with rig() as at:
        go = tmp_path / "go"
        await town.say(f"{before}!until [ -e {go} ]; do sleep 0.05; done")
        ((session, short),) = await town.rows("SELECT id, short FROM session")
        at.who = replace(at.who, session=session, project=DEMO)
        at.gateway.identify(at.who)
        at.routes = (
            server.open_route(
                town.database,
                Running(town.database),
                begin=begin_child,
                remind=remind,
                hosts=hosts,
                headers=headers,
                question_seconds=600,
                wait_seconds=wait_seconds,
            ),
        )
        async with Shift(town, places, "w", seconds_max=3600) as shift:
            await until(town, RUNNING, lambda rows: rows[0][0] == 1)
            try:
                yield Desk(
                    at=at,
                    town=town,
                    go=go,
                    session=session,
                    short=short,
                    headers=added,
                    shift=shift,
                )
            finally:
                go.touch()
                await asyncio.sleep(0)
