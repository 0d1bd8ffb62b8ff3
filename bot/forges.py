"""The forges of this installation: what posts to them, hears them, and asks them about people.

With a webhook's secret their hooks are heard, and they are asked every few minutes for what was
missed; without one they are asked every half minute, by one process of the installation.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
from sqlalchemy import text

from adapters.chat.calling import trace
from adapters.forge import accounts
from adapters.forge.accounts import Accounts
from adapters.forge.github import app as github_app
from adapters.forge.github import hooks as github_hooks
from adapters.forge.github import polling as github_polling
from adapters.forge.github import port as github_port
from adapters.forge.github import reading as github_reading
from adapters.forge.gitlab import client as gitlab_client
from adapters.forge.gitlab import hooks as gitlab_hooks
from adapters.forge.gitlab import polling as gitlab_polling
from adapters.forge.gitlab import port as gitlab_port
from adapters.forge.gitlab import reading as gitlab_reading
from adapters.forge.hooks import Hooks
from adapters.forge.marks import Marks
from adapters.forge.port import ForgePort, Repositories
from bot.config import GitHubSettings, GitLabSettings, Settings
from bot.errors import WrongSettings
from bot.leading import LeadingListener, Listen
from bot.store.cursors import StoredCursors
from bot.store.database import Database

GITHUB, GITLAB = "github", "gitlab"

_URLS = text("SELECT DISTINCT repository_url FROM project WHERE removed_at IS NULL")


@dataclass(kw_only=True)
class Forges:
    """By surface."""

    ports: dict[str, ForgePort] = field(default_factory=dict)
    listeners: dict[str, Listen] = field(default_factory=dict)
    hooks: dict[str, Hooks] = field(default_factory=dict)
    accounts: dict[str, Accounts] = field(default_factory=dict)


async def open_forges(
    stack: AsyncExitStack, settings: Settings, database: Database, *, owner: str
) -> Forges:
    """Open the forges that the settings have credentials of; closed with the stack.

    :raises WrongSettings: a key can't be read
    """
    forges = Forges()
    session = await stack.enter_async_context(aiohttp.ClientSession(trace_configs=[trace()]))
    _add_accounts(forges, settings, session)
    if (key := private_key(settings.github)) is not None:
        _add_github(stack, forges, settings, database, key=key, owner=owner)
    if settings.gitlab.token is not None:
        _add_gitlab(stack, forges, settings, database, owner=owner)
    return forges


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


def _add_github(
    stack: AsyncExitStack,
    forges: Forges,
    settings: Settings,
    database: Database,
    *,
    key: str,
    owner: str,
) -> None:
    ours = settings.github
    app = github_app.App(app_id=str(ours.app_id), private_key=key, api_url=ours.api_url)
    stack.callback(app.close)
    port = github_port.GitHubForge(app, Marks(key.encode()))
    reader = github_reading.Reader(app, mention=settings.mention, forks=ours.forks)
    forges.ports[GITHUB] = port
    polls = github_polling.POLL_SECONDS
    if ours.webhook_secret is not None:
        secret = ours.webhook_secret.get_secret_value().encode()
        forges.hooks[GITHUB] = github_hooks.GitHubHooks(reader, secret=secret)
        polls = github_polling.CATCH_UP_SECONDS
    listener = github_polling.GitHubPolling(
        app,
        reader,
        StoredCursors(database, GITHUB),
        _repositories(database, port),
        every_seconds=polls,
    )
    leading = LeadingListener(database, listener.run, name=GITHUB, owner=owner)
    forges.listeners[GITHUB] = leading.run


def _add_gitlab(
    stack: AsyncExitStack, forges: Forges, settings: Settings, database: Database, *, owner: str
) -> None:
    ours = settings.gitlab
    token = ours.token.get_secret_value() if ours.token else ""
    client = gitlab_client.Client(ours.url, token)
    stack.callback(client.close)
    port = gitlab_port.GitLabForge(client, Marks(token.encode()))
    reader = gitlab_reading.Reader(client, names=(f"/{settings.mention}",), forks=ours.forks)
    forges.ports[GITLAB] = port
    polls = gitlab_polling.POLL_SECONDS
    if ours.webhook_secret is not None:
        secret = ours.webhook_secret.get_secret_value()
        forges.hooks[GITLAB] = gitlab_hooks.GitLabHooks(reader, secret)
        polls = gitlab_polling.CATCH_UP_SECONDS
    listener = gitlab_polling.GitLabPoller(
        client,
        reader,
        _repositories(database, port),
        StoredCursors(database, GITLAB),
        seconds=polls,
    )
    leading = LeadingListener(database, listener.run, name=GITLAB, owner=owner)
    forges.listeners[GITLAB] = leading.run


def _repositories(database: Database, port: ForgePort) -> Repositories:
    async def names() -> Sequence[str]:
        async with database.begin() as tx:
            urls = (await tx.execute(_URLS)).scalars()
        return sorted({name for url in urls if (name := port.repository(url)) is not None})

    return names
