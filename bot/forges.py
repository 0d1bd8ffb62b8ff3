"""The forges of this installation: what posts to them, hears them, and asks them about people.

With a webhook's secret their hooks are heard, and they are asked every few minutes for what was
missed; without one they are asked every half minute, by one process of the installation.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import structlog
from sqlalchemy import text

from adapters.chat.calling import trace
from adapters.chat.incoming import Hear
from adapters.forge import accounts, rereading
from adapters.forge.accounts import Accounts
from adapters.forge.checking import Checks
from adapters.forge.hooks import Hooks
from adapters.forge.marks import Marks
from adapters.forge.port import ForgePort, Repositories, Searches, Wanted
from bot.automate.triggers import forge_events
from bot.config import GitHubSettings, GitLabSettings, Settings
from bot.conversation.ci_watch import CiForge, CiWatch
from bot.conversation.waiting import waiting_on
from bot.errors import WrongSettings
from bot.govern.rights import Rights
from bot.leading import LeadingListener, Listen
from bot.standing import Standings
from bot.store import kept
from bot.store.database import Database, may_pass
from bot.switched import closed_hosts, code_hosts, switches

log = structlog.get_logger(__name__)

GITHUB, GITLAB = "github", "gitlab"
AGAIN_SECONDS = 0.5
"""Between two tries while the database is away."""

Poll = Callable[[Hear, asyncio.Event], Coroutine[Any, Any, None]]

_URLS = text(
    """
    SELECT repository_url FROM project WHERE removed_at IS NULL
     UNION SELECT url FROM project_repository JOIN project ON project.id = project_id
            WHERE project.removed_at IS NULL AND project_repository.removed_at IS NULL
    """
)


@dataclass(kw_only=True)
class Forges:
    """By surface."""

    ports: dict[str, ForgePort] = field(default_factory=dict)
    listeners: dict[str, Listen] = field(default_factory=dict)
    hooks: dict[str, Hooks] = field(default_factory=dict)
    accounts: dict[str, Accounts] = field(default_factory=dict)
    searches: dict[str, Searches] = field(default_factory=dict)
    """What finds repositories on them."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Code hosts that are closed unless a port opens them, each to its surface."""


async def open_forges(
    stack: AsyncExitStack,
    settings: Settings,
    database: Database,
    standings: Standings,
    *,
    owner: str,
) -> Forges:
    """Open the forges that the settings have credentials of; closed with the stack.

    One whose key can't be read is opened all the same: it says who may do what with its
    repositories, and as long as it can't, nobody may.
    """
    switched = switches(settings)
    on = {name for name, switch in switched.items() if switch.on}
    hosts, secret = await _remembered(settings, database)
    forges = Forges(hosts=hosts)
    for host, surface in forges.hosts.items():
        if surface not in on:
            why = switched[surface].missing
            log.warning("code_host_closed", host=host, surface=surface, why=why)
    session = await stack.enter_async_context(aiohttp.ClientSession(trace_configs=[trace()]))
    forges.accounts.update(accounts_of(settings, session))
    opening = Opening(stack, forges, settings, database, standings, owner, Marks(secret))
    # Each brings its SDK along: only what is switched on is imported.
    if GITHUB in on:
        with standings.opening(GITHUB):
            from bot.on_github import open_github

            open_github(opening)
    if GITLAB in on:
        with standings.opening(GITLAB):
            from bot.on_gitlab import open_gitlab

            open_gitlab(opening)
    return forges


async def open_rights(stack: AsyncExitStack, settings: Settings, database: Database) -> Rights:
    """What decides who may do what, where nothing is posted to forges or heard of them.

    A forge that can't be opened lets nobody in.
    """
    hosts, secret = await _remembered(settings, database)
    ports: dict[str, ForgePort] = {}
    for surface, switch in switches(settings).items():
        if switch.on and surface in {GITHUB, GITLAB}:
            try:
                ports[surface] = _port(surface)(settings, stack, Marks(secret))
            except Exception as error:
                log.warning("forge_not_asked", surface=surface, why=str(error))
    return Rights(database, ports, hosts)


def _port(surface: str) -> Callable[[Settings, AsyncExitStack, Marks], ForgePort]:
    """What makes the port of a forge; its SDK is imported with it."""
    if surface == GITHUB:
        from bot.on_github import github_port

        return github_port
    from bot.on_gitlab import gitlab_port

    return gitlab_port


async def _remembered(settings: Settings, database: Database) -> tuple[Mapping[str, str], bytes]:
    """The hosts that are closed unless a forge opens them, and what marks are made with.

    The secret of marks outlives every key and token, which are renewed. While the database is
    away, this waits: nothing is open without it.
    """
    while True:
        try:
            async with database.begin() as tx:
                await kept.keep_hosts(tx, code_hosts(settings).items())
                hosts = closed_hosts(settings, await kept.hosts(tx))
                secret = await kept.keep(tx, "secret of marks", secrets.token_urlsafe(32))
                return hosts, secret.encode()
        except Exception as error:
            if not may_pass(error):
                raise
            log.warning("forges_not_opened", why=str(error))
            await asyncio.sleep(AGAIN_SECONDS)


def private_key(settings: GitHubSettings) -> str | None:
    """The App's key; None: GitHub is off. :raises WrongSettings: its file can't be read"""
    if settings.app_id is None:
        return None
    if settings.private_key is not None:
        return settings.private_key.get_secret_value()
    if settings.private_key_file is None:
        return None
    try:
        return settings.private_key_file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise WrongSettings(
            f"github.private_key_file {settings.private_key_file} can't be read: {error}",
            do="name the file that GitHub gave for the App",
        ) from error


def accounts_of(settings: Settings, session: aiohttp.ClientSession) -> dict[str, Accounts]:
    """The forges that can be asked whose account somebody has, by surface."""
    on_github, on_gitlab = settings.github, settings.gitlab
    found: dict[str, Accounts] = {}
    if on_github.client_id:
        at = accounts.github(on_github.url, on_github.api_url)
        found[GITHUB] = _accounts(at, session, on_github)
    if on_gitlab.client_id:
        at = accounts.gitlab(on_gitlab.url, acts=on_gitlab.act_for_people)
        found[GITLAB] = _accounts(at, session, on_gitlab)
    return found


def _accounts(
    at: accounts.Endpoints,
    session: aiohttp.ClientSession,
    settings: GitHubSettings | GitLabSettings,
) -> Accounts:
    secret = settings.client_secret
    return Accounts(
        at,
        session,
        client_id=settings.client_id or "",
        client_secret=secret.get_secret_value() if secret else None,
    )


@dataclass
class Opening:
    """What it takes to open a forge."""

    stack: AsyncExitStack
    forges: Forges
    settings: Settings
    database: Database
    standings: Standings
    owner: str
    marks: Marks

    def repositories(self, port: ForgePort) -> Repositories:
        """Those that we have projects of, by the names that they have on the forge."""

        async def names() -> Sequence[str]:
            async with self.database.begin() as tx:
                urls = (await tx.execute(_URLS)).scalars()
            return sorted({name for url in urls if (name := port.repository(url)) is not None})

        return names

    def wanted(self, surface: str, port: ForgePort) -> Wanted:
        """What automations want to hear of what happens there, and what we do."""
        return forge_events.wanted(self.database, surface, port)

    def add(
        self,
        surface: str,
        port: ForgePort,
        poll: Poll,
        rereads: rereading.Rereads,
        checks: Checks,
    ) -> None:
        """Post through the port, hear what is polled and reread, and follow the checks."""
        reread = rereading.Rereading(
            rereads, waiting_on(self.database, surface), every_seconds=rereading.LOOK_SECONDS
        )

        watch = CiWatch(
            self.database,
            CiForge(surface=surface, host=port.host, checks=checks),
            Rights(self.database, self.forges.ports, self.forges.hosts),
            rounds_max=self.settings.delivery.ci_rounds_max,
        )

        async def listen(hear: Hear, stop: asyncio.Event) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(poll(hear, stop))
                group.create_task(reread.run(hear, stop))
                group.create_task(watch.run(stop))

        self.forges.ports[surface] = port
        leading = LeadingListener(
            self.database,
            listen,
            name=surface,
            owner=self.owner,
            tell=self.standings.tell_of(surface),
        )
        self.forges.listeners[surface] = leading.run
