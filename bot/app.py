"""`ona serve`: pages, API, replies and outbox; builds the parts from the settings and runs them.

Any number of these processes may run; they hold nothing that matters. `ona work`, one per host, is
built in `bot.host`, and `ona up`, which runs one of each, in `bot.up`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial

import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy import text

from adapters.chat.incoming import Hear
from adapters.chat.port import ChatPort
from bot.automate import after, events, hook_intake, notices, reminders
from bot.automate.beginning import Beginning
from bot.automate.firings import Firings
from bot.automate.repositories import KnownRepositories
from bot.automate.running import Running
from bot.automate.taking import Taking
from bot.config import Settings
from bot.conversation import automation_notices, parking
from bot.conversation.automation_channels import AutomationChannels
from bot.conversation.due import Due
from bot.conversation.hearing import Chats
from bot.conversation.inbox import Inbox
from bot.conversation.offering import Offering
from bot.conversation.outbox import Outbox
from bot.conversation.redirecting import Redirecting
from bot.conversation.replies import Replies
from bot.conversation.run_places import RunPlaces
from bot.conversation.run_posting import RunPosts
from bot.conversation.run_ways import RunWays
from bot.errors import Unfit
from bot.govern.agents import agents_of
from bot.govern.connecting import Connecting
from bot.govern.grants import SWEEP_SECONDS, Grants
from bot.govern.installation import read_installation_policy
from bot.govern.repeats import Repeats
from bot.govern.rights import Rights
from bot.govern.sealing import Sealer, expire
from bot.ground import REPORT_SECONDS, Ground, ground
from bot.logins import logins_open
from bot.metrics import QUEUE_DEPTH, SERVE, Sending, WorkFile
from bot.store.database import (
    EVENTS,
    FIRINGS,
    OUTBOX,
    RUNS,
    SCHEDULES,
    TRIGGERS,
    Database,
    is_away,
)
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.surfaces import Gate, Surfaces, open_surfaces
from bot.vault import (
    discovery_of,
    grants_open,
    hook_secrets_of,
    secrets_of,
    tokens_of,
    vault_open,
)
from bot.web.app import create_app
from bot.web.hooks import of_forge
from bot.web.repository import read_repository
from bot.web.services import Hook, Services
from bot.web.upgraded import Upgraded
from bot.work import questions
from bot.work.relays import Relays
from scheduler.chores import Chore, run_chores
from scheduler.clock import LEASE_SECONDS, Clock
from scheduler.leader import Leader

log = structlog.get_logger(__name__)

CHANNELS = (EVENTS, OUTBOX, SCHEDULES, FIRINGS, TRIGGERS, RUNS)
"""Of hints, that `ona serve` listens to."""
CLOCK_LEASE_SECONDS = 10.0
SEAL_SECONDS = 5.0
"""Between two batches of the audit."""
RETENTION_SECONDS = 3600.0
PARKED_SECONDS = 600.0
"""Between two looks for parked messages that are too old."""
CHANNELS_SECONDS = 60.0
"""Between two looks for channels that automations name."""
NOTICES_SECONDS = 5.0
"""Between two looks for what automations have to say."""
HTTP_STOP_SECONDS = 5
HOST_SILENT_SECONDS = 3 * REPORT_SECONDS
_QUEUED = text("SELECT count(*) FROM session WHERE state = 'queued'")
_HOSTS_SEEN = text(
    "SELECT count(*) FROM host WHERE seen_at > now() - make_interval(secs => :seconds)"
)


async def serve(settings: Settings, url: str) -> None:
    """Serve pages and API, write replies and post them until SIGTERM."""
    SERVE.register(WorkFile(settings.metrics_file))
    SERVE.register(Sending())
    async with ground(settings, url, CHANNELS) as base:
        stop = base.signals.stop
        opening = open_surfaces(settings, base.database, owner=base.owner)
        async with (
            opening as surfaces,
            vault_open(settings) as vault,
            grants_open(settings, vault, base.database) as grants,
            logins_open(settings) as logins,
            contextlib.aclosing(
                Connecting(
                    base.database,
                    surfaces.accounts,
                    tokens_of(base.database, vault, settings, surfaces.accounts),
                )
            ) as connecting,
            asyncio.TaskGroup() as group,
        ):
            ports, rights = surfaces.ports, surfaces.rights
            check_repository = partial(read_repository, logins=logins)
            beginning = Beginning(
                base.database, KnownRepositories(rights.forges, surfaces.searches)
            )
            inbox = inbox_of(base, rights, beginning)
            chats = Chats(
                base.database,
                inbox,
                ports,
                mention=settings.mention,
                connecting=connecting,
                public_url=settings.public_url or "",
                language=settings.language,
                check_repository=check_repository,
            )
            gate = Gate(chats.hear)
            refusals = Repeats(base.database)
            group.create_task(refusals.run(stop))
            services = Services(
                database=base.database,
                inbox=inbox,
                listener=base.listener,
                settings=settings,
                rights=rights,
                connecting=connecting,
                registry=SERVE,
                policy=await asyncio.to_thread(read_installation_policy, settings.policy),
                audited=refusals.note,
                hooks={
                    **surfaces.hooks,
                    **{
                        name: of_forge(one, gate.hear) for name, one in surfaces.forge_hooks.items()
                    },
                },
                ready={"hosts": _host_check(base)},
                beginning=beginning,
                relays=Relays(base.database),
                secrets=secrets_of(vault, settings.vault),
                hook_secrets=hook_secrets_of(vault, settings.vault),
                discovery=discovery_of(vault),
                check_repository=check_repository,
                stopping=stop,
            )
            pages = settings.public_url or ""
            replies = Replies(
                base.database,
                ports,
                listener=base.listener,
                pages=pages,
                language=settings.language,
            )
            group.create_task(replies.run(stop))
            outbox = Outbox(base.database, ports, sender=base.owner, listener=base.listener)
            group.create_task(outbox.run(stop))
            group.create_task(Redirecting(base.database, ports).run(stop))
            group.create_task(Offering(base.database, ports, pages=pages).run(stop))
            group.create_task(surfaces.listen(gate, stop))
            clock = run_clock(
                base.database,
                base.owner,
                stop,
                grants=grants,
                audit_days=settings.policy.audit_days,
            )
            group.create_task(clock)
            group.create_task(_schedules(base).run(stop))
            due = Due(base.database, inbox, ports)
            group.create_task(Firings(base.database, due, listener=base.listener).run(stop))
            ways = RunWays(
                base.database,
                rights,
                agents_of(settings),
                check_repository=check_repository,
                posts=RunPosts(pages=pages, language=settings.language),
                places=RunPlaces(base.database, ports),
                searches=surfaces.searches,
                endings=(after.ended,),
            )
            runs = Running(base.database, ways, rights, listener=base.listener)
            group.create_task(runs.run(stop))
            taking = Taking(base.database, beginning, listener=base.listener)
            group.create_task(taking.run(stop))
            group.create_task(run_chores(_channel_chores(base.database, ports), stop))
            group.create_task(_serve_http(create_app(services), settings, stop))


def _channel_chores(database: Database, ports: Mapping[str, ChatPort]) -> list[Chore]:
    """Find the channels that automations name; any process may, and surfaces are asked."""
    channels = AutomationChannels(database, ports)
    return [Chore(name="automation_channels", seconds=CHANNELS_SECONDS, run=channels.look)]


def _schedules(base: Ground) -> Clock:
    """What writes down what is due, if this process leads."""
    leader = Leader(name="schedules", owner=base.owner, seconds=LEASE_SECONDS)
    database = base.database
    clock = Clock(
        database.begin, leader, new_id=new_id, on_fired=lambda: database.hint((FIRINGS, ""))
    )
    base.listener.on(SCHEDULES, lambda _: clock.look.set())
    return clock


async def _serve_http(app: FastAPI, settings: Settings, stop: asyncio.Event) -> None:
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        ws=Upgraded,
        # Any client of this host could say what it wants about itself.
        proxy_headers=False,
        timeout_graceful_shutdown=HTTP_STOP_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving
    stop.set()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: signals are the process's, not the server's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def hooks_of(surfaces: Surfaces, hear: Hear) -> Mapping[str, Hook]:
    """What hears deliveries over HTTP, by surface."""
    forges = {name: of_forge(one, hear) for name, one in surfaces.forge_hooks.items()}
    return {**surfaces.hooks, **forges}


def inbox_of(base: Ground, rights: Rights, beginning: Beginning | None = None) -> Inbox:
    """The one way in, for every surface of this process."""
    return Inbox(
        base.database,
        prompt_bytes_max=base.settings.turn.prompt_bytes_max,
        mention=base.settings.mention,
        sizes=tuple(base.settings.sizes),
        agents=agents_of(base.settings),
        rights=rights,
        beginning=beginning,
    )


def _host_check(base: Ground) -> Callable[[], Awaitable[None]]:
    async def some_host_works() -> None:
        async with base.database.begin() as tx:
            seen = await tx.scalar(_HOSTS_SEEN, {"seconds": HOST_SILENT_SECONDS})
        if not seen:
            raise Unfit("no `ona work` has reported lately", do="start one, or look at its log")

    return some_host_works


async def run_clock(
    database: Database,
    owner: str,
    stop: asyncio.Event,
    *,
    grants: Grants | None = None,
    audit_days: float = 0,
) -> None:
    """Do until `stop` what one process of the installation does, whoever leads; then resign.

    :param grants: swept here too, so that they end when no `ona work` is left
    """
    leader = Leader(name="clock", owner=owner, seconds=CLOCK_LEASE_SECONDS)

    def led(act: Callable[[Transaction], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            async with database.begin() as tx:
                if await leader.lead(tx) is not None:
                    await act(tx)

        return run

    async def gauge_queue() -> None:
        async with database.begin() as tx:
            QUEUE_DEPTH.set(await tx.scalar(_QUEUED) or 0)

    chores = [
        Chore(name="questions", seconds=CLOCK_LEASE_SECONDS / 2, run=led(questions.expire)),
        Chore(name="parked_messages", seconds=PARKED_SECONDS, run=led(parking.expire)),
        Chore(name="unsaved_reminders", seconds=PARKED_SECONDS, run=led(reminders.expire)),
        Chore(name="automation_notices", seconds=NOTICES_SECONDS, run=led(automation_notices.tell)),
        Chore(name="trigger_events", seconds=RETENTION_SECONDS, run=led(_expire_events)),
        *_audit_chores(database, leader, stop, days=audit_days),
        Chore(name="queue_gauge", seconds=15, run=gauge_queue),
    ]
    if grants is not None:
        chores.append(Chore(name="grants", seconds=SWEEP_SECONDS, run=grants.sweep))
    await run_chores(chores, stop)
    await _resign(database, leader)


async def _expire_events(tx: Transaction) -> None:
    await events.expire(tx)
    await notices.expire(tx)
    await hook_intake.forget_buckets(tx)


async def _resign(database: Database, leader: Leader) -> None:
    try:
        async with database.begin() as tx:
            await leader.resign(tx)
    except Exception as error:
        if not is_away(error):
            raise
        log.warning("clock_not_resigned", error=str(error))


def _audit_chores(
    database: Database, leader: Leader, stop: asyncio.Event, *, days: float
) -> list[Chore]:
    """Seal the audit, and remove what is older than `days`; 0: keep it."""
    sealer = Sealer()

    async def seal_audit() -> None:
        more = True
        while more and not stop.is_set():
            async with database.begin() as tx:
                final = await sealer.final(tx)
                more = await leader.lead(tx) is not None and await sealer.seal(tx, final)

    async def expire_audit() -> None:
        async with database.begin() as tx:
            if days and await leader.lead(tx) is not None:
                await expire(tx, days=days)

    return [
        Chore(name="audit", seconds=SEAL_SECONDS, run=seal_audit),
        Chore(name="audit_retention", seconds=RETENTION_SECONDS, run=expire_audit),
    ]
