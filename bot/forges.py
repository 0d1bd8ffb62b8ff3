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
from adapters.forge.github import app as github_app
from adapters.forge.github import hooks as github_hooks
from adapters.forge.github import polling as github_polling
from adapters.forge.github import port as github_port
from adapters.forge.github import reading as github_reading
from adapters.forge.github import rereading as github_rereading
from adapters.forge.gitlab import client as gitlab_client
from adapters.forge.gitlab import hooks as gitlab_hooks
from adapters.forge.gitlab import polling as gitlab_polling
from adapters.forge.gitlab import port as gitlab_port
from adapters.forge.gitlab import reading as gitlab_reading
from adapters.forge.gitlab import rereading as gitlab_rereading
from adapters.forge.hooks import Hooks
from adapters.forge.marks import Marks
from adapters.forge.port import ForgePort, Repositories
from adapters.listening import Condition
from bot.config import GitHubSettings, GitLabSettings, Settings
from bot.conversation.waiting import waiting_on
from bot.errors import WrongSettings
from bot.leading import LeadingListener, Listen
from bot.standing import Standings
from bot.store import kept
from bot.store.cursors import StoredCursors
from bot.store.database import Database
from bot.switched import closed_hosts, code_hosts, switches

log = structlog.get_logger(__name__)

GITHUB, GITLAB = "github", "gitlab"

_Poll = Callable[[Hear, asyncio.Event], Coroutine[Any, Any, None]]

_URLS = text("SELECT DISTINCT repository_url FROM project WHERE removed_at IS NULL")


@dataclass(kw_only=True)
class Forges:
    """By surface."""

    ports: dict[str, ForgePort] = field(default_factory=dict)
    listeners: dict[str, Listen] = field(default_factory=dict)
    hooks: dict[str, Hooks] = field(default_factory=dict)
    accounts: dict[str, Accounts] = field(default_factory=dict)
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
    forges = Forges(hosts=await _hosts(settings, database))
    for host, surface in forges.hosts.items():
        if surface not in on:
            why = switched[surface].missing
            log.warning("code_host_closed", host=host, surface=surface, why=why)
    session = await stack.enter_async_context(aiohttp.ClientSession(trace_configs=[trace()]))
    _add_accounts(forges, settings, session)
    marks = Marks((await _marks_secret(database)).encode())
    opening = _Opening(stack, forges, settings, database, standings, owner, marks)
    if GITHUB in on:
        with standings.opening(GITHUB):
            opening.github()
    if GITLAB in on:
        with standings.opening(GITLAB):
            opening.gitlab()
    return forges


async def _marks_secret(database: Database) -> str:
    """What marks of posts are made with: it outlives every key and token, which are renewed."""
    async with database.begin() as tx:
        return await kept.keep(tx, "secret of marks", secrets.token_urlsafe(32))


async def _hosts(settings: Settings, database: Database) -> Mapping[str, str]:
    """Those that are closed unless a forge opens them; those that the settings name are kept."""
    async with database.begin() as tx:
        await kept.keep_hosts(tx, code_hosts(settings).items())
        return closed_hosts(settings, await kept.hosts(tx))


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


def _add_accounts(forges: Forges, settings: Settings, session: aiohttp.ClientSession) -> None:
    on_github, on_gitlab = settings.github, settings.gitlab
    if on_github.client_id:
        at = accounts.github(on_github.url, on_github.api_url)
        forges.accounts[GITHUB] = _accounts(at, session, on_github)
    if on_gitlab.client_id:
        forges.accounts[GITLAB] = _accounts(accounts.gitlab(on_gitlab.url), session, on_gitlab)


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
class _Opening:
    """Opens one forge after the other."""

    stack: AsyncExitStack
    forges: Forges
    settings: Settings
    database: Database
    standings: Standings
    owner: str
    marks: Marks

    def github(self) -> None:
        """The App, with what hears it."""
        ours, key = self.settings.github, self._key()
        app = github_app.App(app_id=str(ours.app_id), private_key=key, api_url=ours.api_url)
        self.stack.callback(app.close)
        port = github_port.GitHubForge(app, self.marks)
        reader = github_reading.Reader(app, mention=self.settings.mention, forks=ours.forks)
        if ours.webhook_secret is not None:
            secret = ours.webhook_secret.get_secret_value().encode()
            self.forges.hooks[GITHUB] = github_hooks.GitHubHooks(reader, secret=secret)
        listener = github_polling.GitHubPolling(
            app,
            reader,
            StoredCursors(self.database, GITHUB),
            _repositories(self.database, port),
            every_seconds=self.standings.delay_seconds(GITHUB),
            tell=self.standings.tell_of(GITHUB),
        )
        self._add(GITHUB, port, listener.run, github_rereading.GitHubRereads(app, reader))

    def gitlab(self) -> None:
        """The token's user, with what hears them."""
        ours = self.settings.gitlab
        token = ours.token.get_secret_value() if ours.token else ""
        client = gitlab_client.Client(ours.url, token)
        self.stack.callback(client.close)
        port = gitlab_port.GitLabForge(client, self.marks)
        names = (f"/{self.settings.mention}",)
        reader = gitlab_reading.Reader(client, names=names, bots=ours.bots, forks=ours.forks)
        if ours.webhook_secret is not None:
            self._hear_gitlab(reader, ours.webhook_secret.get_secret_value())
        listener = gitlab_polling.GitLabPoller(
            client,
            reader,
            _repositories(self.database, port),
            StoredCursors(self.database, GITLAB),
            seconds=self.standings.delay_seconds(GITLAB),
            tell=self.standings.tell_of(GITLAB),
        )
        self._add(GITLAB, port, listener.run, gitlab_rereading.GitLabRereads(client))

    def _hear_gitlab(self, reader: gitlab_reading.Reader, secret: str) -> None:
        """Hear webhooks; where their secret can't be one, ask instead."""
        try:
            self.forges.hooks[GITLAB] = gitlab_hooks.GitLabHooks(reader, secret)
        except ValueError as error:
            self.standings.remark(
                GITLAB,
                f"no webhook is heard: gitlab.webhook_secret: {error}",
                mode="poll",
                delay_seconds=gitlab_polling.POLL_SECONDS,
            )

    def _key(self) -> str:
        """The App's key; where it can't be read, one that opens nothing."""
        try:
            return private_key(self.settings.github) or ""
        except WrongSettings as error:
            log.warning("github_key_not_read", why=error.happened)
            self.standings.tell(GITHUB, Condition.FAILING, error.happened)
            return f"unreadable {secrets.token_urlsafe()}"

    def _add(self, surface: str, port: ForgePort, poll: _Poll, rereads: rereading.Rereads) -> None:
        reread = rereading.Rereading(
            rereads, waiting_on(self.database, surface), every_seconds=rereading.LOOK_SECONDS
        )

        async def listen(hear: Hear, stop: asyncio.Event) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(poll(hear, stop))
                group.create_task(reread.run(hear, stop))

        self.forges.ports[surface] = port
        leading = LeadingListener(
            self.database,
            listen,
            name=surface,
            owner=self.owner,
            tell=self.standings.tell_of(surface),
        )
        self.forges.listeners[surface] = leading.run


def _repositories(database: Database, port: ForgePort) -> Repositories:
    async def names() -> Sequence[str]:
        async with database.begin() as tx:
            urls = (await tx.execute(_URLS)).scalars()
        return sorted({name for url in urls if (name := port.repository(url)) is not None})

    return names
