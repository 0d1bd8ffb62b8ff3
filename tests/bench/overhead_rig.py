"""An installation whose machine is the guest program on this host, and all that a turn meets there.

Inbox, worker, pool, repositories, checkpoints, gateway with its meter, replies and outbox are the
product's; the agent, its model and Slack are fakes, each behind its real protocol.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import text

from adapters.agent.acp.harness import AcpAgent
from adapters.agent.acp.profiles import Profile
from adapters.chat.slack.calls import client, open_session
from adapters.chat.slack.port import SlackChat
from bot.config import BudgetSettings, ModelSettings
from bot.conversation.inbox import Inbox
from bot.conversation.message import Accepted
from bot.conversation.outbox import Outbox
from bot.conversation.replies import Replies
from bot.govern.agents import Agents
from bot.govern.policy_text import Document
from bot.govern.spending import Spending
from bot.store.blobs import DirectoryBlobs
from bot.store.database import CONTROL, EVENTS, OUTBOX, READY, Listener
from bot.store.ids import new_id
from bot.work.branches import BranchRows
from bot.work.checkpoint import Checkpoints
from bot.work.machines import MachineWorkplaces
from bot.work.metering import Metering, limits_of
from bot.work.repository import Repositories
from bot.work.routes import Routes, Working
from bot.work.running import Running
from bot.work.sizes import MachineSize, Sizes
from bot.work.turn_means import Means, TurnLimits
from bot.work.turns import Turns
from bot.work.work_queue import WorkQueue
from bot.work.worker import Worker, WorkerLimits
from tests.bench.town import Town
from tests.fakes import git_tree
from tests.fakes.model.program import Model, Step, model, script
from tests.fakes.process_driver import ProcessDriver
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.installed import Install
from tests.fakes.slack.world import Message
from tests.support.gateway import LOOPBACK, rig
from vmpool.driver import Image
from vmpool.pool import Pool, PoolLimits
from vmpool.registry import Registry
from vmpool.ssh import Authority
from vmpool.warm.rows import Rows

PROGRAM = Path(__file__).parents[1] / "fakes" / "acp_agent.py"
TOLD = 'ACP_BEGAN=${EPOCHREALTIME/,/.} exec "$0" "$@"'
"""A shell's words that tell the program after them when its process began."""
AGENT, PROVIDER = "timed", "fake"
TURN_SECONDS_MAX = 300.0
POLL_SECONDS = 5.0
_POINT = text("UPDATE project SET repository_url = :url, agent = :agent")
_ENDED = text(
    """
    SELECT body ->> 'outcome' AS outcome, body ->> 'summary' AS summary FROM turn_event
     WHERE session_id = :id AND number > :n AND kind = 'turn.ended'
    """
)


@dataclass(frozen=True, kw_only=True)
class Bed:
    """What the measurement works with."""

    town: Town
    slack: FakeSlack
    root: Message
    """Somebody's words, in whose thread the bot is asked."""
    bot: Install
    model: Model
    listener: Listener
    clock: Path
    """Where the agent notes its times, a line of JSON for each request to its model."""
    know: Callable[[UUID], None]
    """Tells the gateway whose the machine is."""

    async def say(self, words: str, *, place: str = "bench", surface: str = "terminal") -> Accepted:
        """A person's message, accepted."""
        message = replace(self.town.message(place, words), surface=surface)
        accepted = await self.town.inbox.accept(message)
        assert accepted.session_id is not None, accepted.text
        return accepted

    async def ended(self, accepted: Accepted) -> None:
        """Return when the turn of a prompt has ended, hinted as every reader is."""
        known, wake = {"id": accepted.session_id, "n": accepted.event}, asyncio.Event()
        off = self.listener.on(EVENTS, lambda _: wake.set())
        try:
            async with asyncio.timeout(TURN_SECONDS_MAX):
                while (row := (await self.town.database.run(_ENDED, known)).first()) is None:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(wake.wait(), POLL_SECONDS)
                    wake.clear()
        finally:
            off()
        assert row.outcome == "succeeded", row.summary

    def noted(self) -> list[dict[str, float]]:
        """What the agent has noted: {began, waited, asked}."""
        return [json.loads(line) for line in self.clock.read_text().splitlines()]


@asynccontextmanager
async def bed(town: Town, place: Path) -> AsyncIterator[Bed]:
    """Everything at work; `place` must be short enough for socket paths."""
    git_tree.make(place / "origin", {b"README": b"hello\n"})
    await town.database.run(_POINT, {"url": str(place / "origin"), "agent": AGENT})
    agents = Agents(names=(AGENT, "shell"), default=AGENT)
    town.inbox = Inbox(town.database, prompt_bytes_max=10_000, agents=agents)
    listener, stop = Listener(town.url, READY, CONTROL, EVENTS, OUTBOX), asyncio.Event()
    async with AsyncExitStack() as stack:
        scripted = stack.enter_context(model(script("model", Step(says="hello"))))
        gateway = await stack.enter_async_context(rig())
        gateway.zone.hosts[LOOPBACK] = [LOOPBACK]
        routes = _routes(town, scripted.url)

        def know(session_id: UUID) -> None:
            gateway.who = replace(gateway.who, session=session_id, project=town.project)
            gateway.gateway.identify(gateway.who)
            gateway.routes = routes.of(_working(town, place))

        slack = await stack.enter_async_context(FakeSlack())
        team = slack.workspace("acme")
        installed = slack.install(team)
        ann = slack.person(team, "ann")
        root = ann.says(slack.channel(team, "general", ann, installed.user), "Hello!")
        session = await stack.enter_async_context(open_session())
        port = SlackChat(client(installed.token, session, api=slack.api_url))
        pool, driver = await _pool(town, place)
        stack.push_async_callback(_over, pool, driver)
        home = place / "agent"
        home.mkdir()
        url = f"http://{LOOPBACK}:{gateway.web}/model/{PROVIDER}/v1/messages"
        at_work = [
            listener.run(),
            _worker(town, _workplaces(town, pool, place), _agent(home, url), listener).run(stop),
            Replies(town.database, {"slack": port}, listener=listener).run(stop),
            Outbox(town.database, {"slack": port}, sender="bench", listener=listener).run(stop),
        ]
        tasks = [asyncio.create_task(one) for one in at_work]
        stack.push_async_callback(_stopped, stop, tasks)
        await listener.listening.wait()
        yield Bed(
            town=town,
            slack=slack,
            root=root,
            bot=installed,
            model=scripted,
            listener=listener,
            clock=home / "clock",
            know=know,
        )


def _working(town: Town, place: Path) -> Working:
    return Working(id=town.project, repositories=[str(place / "origin")], document=Document())


def _routes(town: Town, url: str) -> Routes:
    models = {PROVIDER: ModelSettings(format="anthropic", url=url, key=SecretStr("sk-ours"))}
    running = Running(town.database)
    spending = Spending(town.database, limits_of(BudgetSettings()))
    return Routes(
        running=running,
        meter=Metering(town.database, spending, models),
        branches=BranchRows(town.database),
        models=models,
        code_hosts=[],
        grants=None,
    )


def _agent(home: Path, url: str) -> AcpAgent:
    known = {"ACP_HOME": str(home), "ACP_MODEL_URL": url, "ACP_MODEL": "claude-sonnet-4-5"}
    argv = ("/bin/bash", "-c", TOLD, sys.executable, str(PROGRAM))
    return AcpAgent(Profile(name=AGENT, argv=argv, environment=known))


def _worker(town: Town, places: MachineWorkplaces, agent: AcpAgent, listener: Listener) -> Worker:
    queue = WorkQueue(town.database, owner="bench", host_id=town.host, lease_seconds=30)
    limits = TurnLimits(
        seconds_max=TURN_SECONDS_MAX, output_bytes_max=1 << 20, question_seconds_max=60
    )
    turns = Turns(Means(queue=queue, workplaces=places, agents={agent.name: agent}, limits=limits))
    bounds = WorkerLimits(turns_max=4, poll_seconds=POLL_SECONDS, finish_seconds=5)
    return Worker(queue, turns, listener, bounds)


async def _pool(town: Town, place: Path) -> tuple[Pool, ProcessDriver]:
    (place / "m").mkdir()
    driver = ProcessDriver(place / "m")
    limits = PoolLimits(
        running_max=2, boot_seconds=60, resume_seconds=60, idle_seconds=3600, retention_days=1
    )
    pool = Pool(
        Registry(town.database.session, town.host, new_id),
        Rows(town.database.session, town.host, new_id),
        driver,
        limits,
        authority=await Authority.load(place / "ca"),
        told=_told,
        enter=driver.enter,
    )
    return pool, driver


async def _told(session_id: UUID, state: str, known: dict[str, Any]) -> None:
    """Nobody reads it here."""


def _workplaces(town: Town, pool: Pool, place: Path) -> MachineWorkplaces:
    (place / "work").mkdir()
    blobs = DirectoryBlobs(place / "blobs")
    checkpoints = Checkpoints(
        town.database, blobs, bytes_max=1 << 28, inline_bytes_max=1 << 16, file_bytes_max=1 << 24
    )
    size = MachineSize(vcpus=1, memory_mib=128, disk_gib=1)
    return MachineWorkplaces(
        town.database,
        pool,
        Repositories(place / "mirrors"),
        checkpoints,
        host_id=town.host,
        image=_image,
        sizes=Sizes(by_name={"medium": size}, default="medium"),
        work=str(place / "work"),
    )


async def _image() -> Image:
    """Nothing boots from it."""
    return Image(kernel=Path("k"), initrd=Path("i"), disk=Path("d"), digest="x")


async def _over(pool: Pool, driver: ProcessDriver) -> None:
    await pool.close()
    for sight in await driver.find():
        await driver.destroy(sight.machine_id)


async def _stopped(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """End what works, and the listener, which is the first of them."""
    stop.set()
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
