"""A web server on a free port over a real database, with two people and a project in it."""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any
from uuid import UUID

import httpx2
import uvicorn
from prometheus_client import CollectorRegistry
from sqlalchemy import make_url, text

from adapters.forge.accounts import Accounts
from adapters.forge.port import ForgePort
from bot.automate.runs.beginning import Beginning
from bot.automate.runs.repositories import KnownRepositories
from bot.config import Settings, WebSettings
from bot.conversation.inbox import Inbox
from bot.errors import Refused
from bot.govern import credentials, people, projects
from bot.govern.connecting import Connecting
from bot.govern.rights import Rights
from bot.govern.secrets import Secrets
from bot.store.database import EVENTS, Database, Listener
from bot.store.ids import new_id
from bot.store.states import TurnState
from bot.web.app import create_app
from bot.web.services import Services
from bot.web.upgraded import Upgraded
from bot.work import questions
from bot.work.asked import Question
from bot.work.lease import Lease, OpenTurn
from bot.work.queue import Event
from bot.work.relays import Relays
from bot.work.remote import remote
from bot.work.work_queue import WorkQueue

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the certificates of the world takes longer than most tests."""
WAIT_SECONDS_MAX = 100
BAD_REPOSITORY = "/srv/empty"


async def check_repository(url: str) -> None:
    """Reads no repository; refuses what is no address and one that is bad."""
    remote(url)
    if url == BAD_REPOSITORY:
        raise Refused(f"{url} is no repository", do="give another address")


@dataclass(kw_only=True)
class Work:
    """A turn under way, driven by the test instead of a worker."""

    queue: WorkQueue
    lease: Lease
    turn: OpenTurn
    batches: int = 0

    async def emit(self, kind: str, **body: Any) -> None:
        await self.emit_all([Event(kind=kind, body=body)])

    async def emit_all(self, events: list[Event]) -> None:
        self.batches += 1
        await self.queue.record(self.lease, self.turn, events, batch=self.batches)

    async def output(self, said: str) -> None:
        await self.emit("output", stream="stdout", text=said)

    async def ask(self, question: str, *choices: str) -> None:
        async with self.queue.database.begin() as tx:
            asked = Question(key="q1", text=question, choices=choices, permitted=())
            await questions.put(tx, self.lease, self.turn.id, asked, seconds=600)

    async def end(self, state: TurnState = TurnState.SUCCEEDED, **outcome: Any) -> None:
        summary = {"summary": "exit status 0", "exit_status": 0, "seconds": 1.5, **outcome}
        await self.queue.finish(self.lease, self.turn, state, summary, events=[])


@dataclass(kw_only=True)
class Site:
    """A running installation without workers."""

    url: str
    database: Database
    services: Services
    ann: UUID
    bo: UUID
    token: str
    host_id: UUID = field(default_factory=new_id)

    def client(self, token: str | None = None) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx2.AsyncClient(
            base_url=self.url, headers=headers, timeout=WAIT_SECONDS_MAX, verify=NO_TLS
        )

    async def link(self, person: UUID | None = None, *, seconds: float = 600) -> str:
        async with self.database.begin() as tx:
            return await credentials.issue(tx, "link", person or self.ann, seconds=seconds)

    async def token_of(self, person: UUID) -> str:
        async with self.database.begin() as tx:
            return await credentials.issue_token(tx, person, "test", None)

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        async with self.database.begin() as tx:
            return [tuple(row) for row in await tx.execute(text(statement), values)]

    async def ask(self, words: str, **more: Any) -> dict[str, Any]:
        async with self.client() as client:
            answer = await client.post("/api/v1/prompts", json={"text": words, **more})
        assert answer.status_code in {200, 202}, answer.text
        return dict(answer.json())

    async def begin(self) -> Work:
        """Claim what is due and begin its turn, as a worker would."""
        queue = WorkQueue(
            self.database, owner=f"w-{new_id()}", host_id=self.host_id, lease_seconds=60
        )
        lease = await queue.claim()
        assert lease is not None
        begun = await queue.begin_turn(lease, None)
        assert begun is not None
        return Work(queue=queue, lease=lease, turn=begun)

    @contextmanager
    def cut_off(self, postgres: Any) -> Iterator[None]:
        """The database ends every connection and takes no new one."""
        name = make_url(self.database.url).database
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        try:
            yield
        finally:
            postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    async def machine(self, short: str, state: str = "running") -> UUID:
        """A machine's row for a session."""
        machine_id = new_id()
        await self.rows(
            "INSERT INTO machine (id, host_id, session_id, size, vcpus, memory_mib, disk_gib,"
            " image_digest, state, generation, created_at, used_at, changed_at) VALUES (:id, :host,"
            " (SELECT id FROM session WHERE short = :short), 'medium', 2, 1024, 16, 'd', :state, 1,"
            " now(), now(), now())",
            id=machine_id,
            host=self.host_id,
            short=short,
            state=state,
        )
        return machine_id


async def sign_in(site: Site, browser: httpx2.AsyncClient, person: UUID | None = None) -> str:
    """Let a client be a person's browser (Ann's), without a script; what its forms carry."""
    browser.headers["Origin"] = site.url
    del browser.headers["Authorization"]
    await browser.post("/sign-in", data={"link": await site.link(person)})
    page = (await browser.get("/reminders")).text
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


STEPS = [
    {"step": "boot", "seconds": 5.5, "exit_status": 0, "output": ""},
    {"step": "uv sync", "seconds": 1.25, "exit_status": 2, "output": "no <network>\n"},
    {
        "step": "npm ci",
        "guessed_from": "package-lock.json",
        "seconds": 0.0,
        "exit_status": 1,
        "output": "",
    },
]


async def pool_of(
    site: "Site", *, state: str = "ready", built: bool = True, note: str | None = None
) -> UUID:
    """A template of the project demo, and its pool with a hot machine and four hand-outs."""
    template_id = new_id()
    project = "(SELECT id FROM project WHERE name = 'demo')"
    await site.rows(
        "INSERT INTO template (id, host_id, project_id, size, vcpus, memory_mib, disk_gib,"
        " image_digest, fingerprint, commit, state, generation, steps, note, created_at,"
        f" changed_at) VALUES (:id, :host, {project}, 'small', 1, 512, 8, 'd', 'f',"
        " :commit, :state, 1, CAST(:steps AS jsonb), :note, now(), now())",
        id=template_id,
        host=site.host_id,
        commit="c0ffee" if built else "",
        state=state,
        steps=json.dumps(STEPS),
        note=note,
    )
    await site.rows(
        "INSERT INTO pool (host_id, project_id, size, hot_target, cold_target, why, held,"
        f" refill_seconds, changed_at) VALUES (:host, {project}, 'small', 2, 1,"
        " 'about 3.0 an hour expected', NULL, 0.8, now())",
        host=site.host_id,
    )
    await site.rows(
        "INSERT INTO machine (id, host_id, template_id, size, vcpus, memory_mib, disk_gib,"
        " image_digest, state, generation, note, created_at, used_at, changed_at)"
        " VALUES (:id, :host, :template, 'small', 1, 512, 8, 'd', 'paused', 2,"
        " '2 should be hot', now(), now(), now())",
        id=new_id(),
        host=site.host_id,
        template=template_id,
    )
    for tier, seconds in (("hot", 0.2), ("cold", 0.9), ("boot", 7.5), ("boot", 7.5)):
        await site.rows(
            "INSERT INTO handout (id, host_id, project_id, size, machine_id, tier, seconds, at)"
            f" VALUES (:id, :host, {project}, 'small', :id, :tier, :seconds, now())",
            id=new_id(),
            host=site.host_id,
            tier=tier,
            seconds=seconds,
        )
    return template_id


async def _settle(database: Database, host_id: UUID) -> tuple[UUID, UUID, str]:
    async with database.begin() as tx:
        ann = await people.ensure_person(tx, surface=people.LOCAL, external_id="ann", name="Ann")
        bo = await people.add_person(tx, "Bo")
        await projects.add_project(tx, projects.NewProject(name="demo", repository_url="/srv/demo"))
        await tx.execute(
            text(
                "INSERT INTO host (id, name, driver, accelerator, boot_id, seen_at)"
                " VALUES (:id, 'atlas', 'qemu', 'tcg', 'b', now())"
            ),
            {"id": host_id},
        )
        token = await credentials.issue_token(tx, ann.person_id, "tests", None)
    return ann.person_id, bo.person_id, token


class _Server(uvicorn.Server):
    """Ends as soon as it is told to and nothing is under way; uvicorn's own looks now and then."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.leave = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the test runner's."""
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.leave.wait()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while self.server_state.connections or self.server_state.tasks:
                await asyncio.sleep(0.002)
        await self.lifespan.shutdown()


@asynccontextmanager
async def running_site(
    url: str,
    data_dir: Path,
    *,
    forges: Mapping[str, ForgePort] | None = None,
    accounts: Mapping[str, Accounts] | None = None,
    secrets: Secrets | None = None,
    **web: Any,
) -> AsyncIterator[Site]:
    """A site over the migrated, empty database at `url`."""
    database = Database(url, connections_max=20)
    host_id = new_id()
    ann, bo, token = await _settle(database, host_id)
    rights = Rights(database, forges or {})
    beginning = Beginning(database, KnownRepositories(forges or {}))
    services = Services(
        database=database,
        inbox=Inbox(database, prompt_bytes_max=100_000, rights=rights, beginning=beginning),
        beginning=beginning,
        rights=rights,
        connecting=Connecting(database, accounts or {}),
        listener=Listener(url, EVENTS, retry_seconds=0.05),
        settings=Settings(data_dir=data_dir, web=WebSettings(**web)),
        registry=CollectorRegistry(),
        check_repository=check_repository,
        secrets=secrets,
        relays=Relays(database),
    )
    listening = asyncio.create_task(services.listener.run())
    try:
        async with serving(services, port=0) as port:
            await asyncio.wait_for(services.listener.listening.wait(), WAIT_SECONDS_MAX)
            yield Site(
                url=f"http://127.0.0.1:{port}",
                database=database,
                services=services,
                ann=ann,
                bo=bo,
                token=token,
                host_id=host_id,
            )
            services.stopping.set()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await database.close()


@asynccontextmanager
async def serving(services: Services, *, port: int) -> AsyncIterator[int]:
    """The application on a port; 0 takes a free one."""
    # A loaded machine may stand still for seconds between two requests of a test.
    config = uvicorn.Config(
        create_app(services),
        port=port,
        log_config=None,
        timeout_keep_alive=WAIT_SECONDS_MAX,
        ws=Upgraded,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.leave.set()
        await task
