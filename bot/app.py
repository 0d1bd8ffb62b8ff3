"""`ona serve`: pages, API, replies and outbox; builds the parts from the settings and runs them.

Any number of these processes may run; they hold nothing that matters. `ona work`, one per host, is
built in `bot.host`, and `ona up`, which runs one of each, in `bot.up`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from sqlalchemy import text

from adapters.chat.incoming import Hear
from adapters.chat.port import ChatPort
from adapters.vault.client import Vault
from bot.automate.runs.beginning import Beginning
from bot.automate.runs.repositories import KnownRepositories
from bot.by_itself import by_itself
from bot.chores import run_clock
from bot.config import Settings
from bot.conversation import automation_notices
from bot.conversation.adding import CheckRepository
from bot.conversation.closing import Closing
from bot.conversation.hearing import Chats
from bot.conversation.inbox import Inbox
from bot.conversation.offering import Offering
from bot.conversation.outbox import Outbox
from bot.conversation.redirecting import Redirecting
from bot.conversation.replies import Replies
from bot.errors import Unfit
from bot.govern.agents import agents_for_people, agents_of
from bot.govern.connecting import Connecting
from bot.govern.grants import Grants
from bot.govern.installation import read_installation_policy
from bot.govern.repeats import Repeats
from bot.govern.rights import Rights
from bot.ground import Ground, ground
from bot.http_server import serve_http
from bot.logins import logins_open
from bot.metrics import SERVE, Sending, WorkFile
from bot.store.database import (
    EVENTS,
    FIRINGS,
    OUTBOX,
    RUNS,
    SCHEDULES,
    TRIGGERS,
)
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
from bot.work.relays import Relays
from scheduler.chores import Chore, run_chores
from vmpool.silence import BREAK_SECONDS

log = structlog.get_logger(__name__)

CHANNELS = (EVENTS, OUTBOX, SCHEDULES, FIRINGS, TRIGGERS, RUNS)
"""Of hints, that `ona serve` listens to."""
NOW_AND_THEN_SECONDS = 10.0
"""Between looks for what threads are told besides, which nobody waits for."""
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
            contextlib.aclosing(_connecting(base, surfaces, vault)) as connecting,
            asyncio.TaskGroup() as group,
        ):
            ports, rights = surfaces.ports, surfaces.rights
            check_repository = partial(read_repository, logins=logins)
            beginning = Beginning(
                base.database, KnownRepositories(rights.forges, surfaces.searches)
            )
            inbox = inbox_of(base, rights, beginning)
            gate = Gate(_chats(base, inbox, ports, connecting, check_repository).hear)
            refusals = Repeats(base.database)
            group.create_task(refusals.run(stop))
            services = Services(
                database=base.database,
                inbox=inbox,
                listener=base.listener,
                settings=settings,
                rights=rights,
                ports=ports,
                connecting=connecting,
                registry=SERVE,
                policy=await asyncio.to_thread(read_installation_policy, settings.policy),
                audited=refusals.note,
                hooks=hooks_of(surfaces, gate.hear),
                ready={"hosts": _host_check(base)},
                beginning=beginning,
                relays=Relays(base.database),
                secrets=secrets_of(vault, settings.vault),
                hook_secrets=hook_secrets_of(vault, settings.vault),
                discovery=discovery_of(vault),
                check_repository=check_repository,
                stopping=stop,
            )
            for saying in _saying(base, ports, rights):
                group.create_task(saying)
            group.create_task(surfaces.listen(gate, stop))
            group.create_task(_clock(base, grants))
            for work in by_itself(
                base, surfaces, inbox, beginning, check_repository=check_repository
            ):
                group.create_task(work)
            group.create_task(serve_http(create_app(services), settings, stop))


def _connecting(base: Ground, surfaces: Surfaces, vault: Vault | None) -> Connecting:
    """What knows which accounts are one person's; closed by the caller."""
    tokens = tokens_of(base.database, vault, base.settings, surfaces.accounts)
    return Connecting(base.database, surfaces.accounts, tokens)


def _chats(
    base: Ground,
    inbox: Inbox,
    ports: Mapping[str, ChatPort],
    connecting: Connecting,
    check_repository: CheckRepository,
) -> Chats:
    """What hears all that is said on chat surfaces and forges."""
    settings = base.settings
    return Chats(
        base.database,
        inbox,
        ports,
        mention=settings.mention,
        connecting=connecting,
        public_url=settings.public_url or "",
        language=settings.language,
        check_repository=check_repository,
    )


def _clock(base: Ground, grants: Grants | None) -> Coroutine[Any, Any, None]:
    """What is done on a clock, until the process is to stop."""
    settings = base.settings
    tell = partial(
        automation_notices.tell,
        agents=agents_of(settings),
        pages=settings.public_url or "",
        language=settings.language,
    )
    return run_clock(
        base.database,
        base.owner,
        base.signals.stop,
        grants=grants,
        audit_days=settings.policy.audit_days,
        tell=tell,
    )


def _saying(
    base: Ground, ports: Mapping[str, ChatPort], rights: Rights
) -> Sequence[Coroutine[Any, Any, None]]:
    """What writes and posts what threads are told, each until the process is to stop."""
    stop, pages = base.signals.stop, base.settings.public_url or ""
    replies = Replies(
        base.database,
        ports,
        listener=base.listener,
        pages=pages,
        language=base.settings.language,
    )
    outbox = Outbox(base.database, ports, sender=base.owner, listener=base.listener)
    chores = {
        "redirecting": Redirecting(base.database, ports, rights).once,
        "closing": Closing(base.database, ports).once,
        "offering": Offering(base.database, ports, pages=pages).once,
    }
    return [
        replies.run(stop),
        outbox.run(stop),
        run_chores(
            [
                Chore(name=name, seconds=NOW_AND_THEN_SECONDS, run=once)
                for name, once in chores.items()
            ],
            stop,
        ),
    ]


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
        agents=agents_for_people(base.settings),
        rights=rights,
        beginning=beginning,
    )


def _host_check(base: Ground) -> Callable[[], Awaitable[None]]:
    async def some_host_works() -> None:
        async with base.database.begin() as tx:
            seen = await tx.scalar(_HOSTS_SEEN, {"seconds": BREAK_SECONDS})
        if not seen:
            raise Unfit("no `ona work` has reported lately", do="start one, or look at its log")

    return some_host_works
