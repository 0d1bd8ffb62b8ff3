"""What `ona serve` does for its chat surfaces, in the test's own process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from prometheus_client import CollectorRegistry

from adapters.forge.accounts import Accounts
from bot.app import hooks_of
from bot.automate.reminders.firings import Firings
from bot.automate.runs.beginning import Beginning
from bot.automate.runs.repositories import KnownRepositories
from bot.automate.runs.running import Running
from bot.config import Settings
from bot.conversation.adding import unlooked
from bot.conversation.closing import Closing
from bot.conversation.due import Due
from bot.conversation.hearing import Chats
from bot.conversation.inbox import Inbox
from bot.conversation.outbox import Outbox
from bot.conversation.redirecting import Redirecting
from bot.conversation.replies import Replies
from bot.conversation.run_places import RunPlaces
from bot.conversation.run_posting import RunPosts
from bot.conversation.run_ways import RunWays
from bot.govern.agents import Agents
from bot.govern.connecting import Connecting
from bot.store.database import EVENTS, OUTBOX, Database, Listener
from bot.store.ids import new_id
from bot.surfaces import Gate, Surfaces, open_surfaces
from bot.web.services import Services
from scheduler.chores import Chore, run_chores
from scheduler.clock import LEASE_SECONDS, Clock
from scheduler.leader import Leader
from tests.integration.conftest import Town
from tests.integration.web.site import serving as serving_pages


@asynccontextmanager
async def serving(
    town: Town,
    settings: Settings,
    *,
    hooked: Callable[[str], Awaitable[None]] | None = None,
    port: int = 0,
    sends: bool = True,
    runs: bool = False,
    agents: Agents | None = None,
    accounts: Mapping[str, Accounts] | None = None,
) -> AsyncIterator[asyncio.Event]:
    """Hear, write replies and send them; ends when the event is set.

    :param hooked: is told the address at which deliveries over HTTP arrive
    :param port: of that address; 0: any that is free
    :param sends: replies are sent from here; else they are only written
    :param runs: runs of automations go on here
    :param agents: those that `agent=` takes; None: shell alone
    :param accounts: of forges that can be asked whose they are
    """
    database, stop = town.database, asyncio.Event()
    listener = Listener(database.url, EVENTS, OUTBOX)
    opening = open_surfaces(settings, database, owner=f"serve-{new_id()}")
    async with (
        AsyncExitStack() as own,
        opening as surfaces,
        asyncio.TaskGroup() as group,
    ):
        tasks: list[asyncio.Task[None]] = []

        def begin(work: Coroutine[None, None, None]) -> None:
            tasks.append(group.create_task(work))

        listening = group.create_task(listener.run())
        await listener.listening.wait()
        ports = surfaces.ports
        rights = surfaces.rights
        inbox = Inbox(
            database,
            prompt_bytes_max=100_000,
            sizes=("small", "medium"),
            agents=agents,
            rights=rights,
            beginning=Beginning(database, KnownRepositories({})),
        )
        connecting = await own.enter_async_context(
            aclosing(Connecting(database, accounts or surfaces.accounts))
        )
        chats = Chats(database, inbox, ports, mention="ona", connecting=connecting)
        replies = Replies(database, ports, listener=listener, live_seconds=0.2)
        outbox = Outbox(
            database,
            ports,
            sender="s",
            listener=listener,
            live_seconds=0.2,
            lease_seconds=5.0,
            send_seconds=4.0,
        )
        leader = Leader(name="schedules", owner="serve", seconds=LEASE_SECONDS)
        clock = Clock(database.begin, leader, new_id=new_id, poll_seconds=0.2)
        begin(clock.run(stop))
        begin(Firings(database, Due(database, inbox, ports), poll_seconds=0.2).run(stop))
        begin(replies.run(stop))
        close = Closing(database, ports, calm_seconds=4.0).once
        chores = [
            Chore(name="redirecting", seconds=10.0, run=Redirecting(database, ports, rights).once),
            Chore(name="closing", seconds=0.2, run=close),
        ]
        begin(run_chores(chores, stop))
        begin(surfaces.listen(Gate(chats.hear), stop))
        if runs:
            ways = _ways(database, surfaces)
            running = Running(database, ways, rights, poll_seconds=0.2, look_seconds=0.2)
            begin(running.run(stop))
        if sends:
            begin(outbox.run(stop))
        try:
            async with AsyncExitStack() as stack:
                if hooked is not None:
                    services = Services(
                        database=database,
                        inbox=inbox,
                        listener=listener,
                        settings=settings,
                        rights=rights,
                        ports=ports,
                        connecting=connecting,
                        registry=CollectorRegistry(),
                        hooks=hooks_of(surfaces, chats.hear),
                    )
                    pages = serving_pages(services, port=port)
                    taken = await stack.enter_async_context(pages)
                    await hooked(f"http://127.0.0.1:{taken}")
                yield stop
        finally:
            stop.set()
            # What failed in the test would cancel them while they close their connections.
            await asyncio.gather(*tasks, return_exceptions=True)
            listening.cancel()


def _ways(database: Database, surfaces: Surfaces) -> RunWays:
    return RunWays(
        database,
        surfaces.rights,
        Agents(),
        check_repository=unlooked,
        posts=RunPosts(),
        places=RunPlaces(database, surfaces.ports),
        searches=surfaces.searches,
    )
