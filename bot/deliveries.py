"""How the work of turns is delivered from this host: with which code hosts, by which credentials.

Each forge brings its SDK along: only those that the settings name are imported.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import aiohttp
import structlog
from pydantic import SecretStr

from adapters.chat.calling import trace
from adapters.chat.port import ChatError, Deadline, Rejected
from adapters.vault.client import Vault
from bot.config import Settings
from bot.errors import WrongSettings
from bot.forges import accounts_of
from bot.govern.person_tokens import PersonTokens
from bot.store.database import Database
from bot.vault import tokens_of
from bot.work.delivery import Delivery
from bot.work.delivery_means import DeliveryForge, DeliveryMeans
from bot.work.remote import Logins
from bot.work.repository import Repositories

if TYPE_CHECKING:
    from adapters.forge.github.app import App

log = structlog.get_logger(__name__)

LOGIN_SECONDS = 15.0
PUSHES = {"contents": "write"}
WITH_WORKFLOWS = {**PUSHES, "workflows": "write"}
"""GitHub refuses a push that changes its workflows to a token that may not do this besides."""


@asynccontextmanager
async def delivery_open(
    settings: Settings,
    database: Database,
    repositories: Repositories,
    logins: Logins,
    vault: Vault | None = None,
) -> AsyncIterator[Delivery]:
    """Delivery by what the settings have, while inside.

    :param vault: seals what acts as people; None: we open every pull request ourselves
    """
    known = settings.delivery
    directory = settings.host_dir / "deliveries"
    # What a killed process was delivering is delivered anew.
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(trace_configs=[trace()]))
        accounts = accounts_of(settings, session)
        tokens = tokens_of(database, vault, settings, accounts)
        found = [_github(settings, stack), _gitlab(settings, stack)]
        forges = [_acting(one, tokens) for one in found if one is not None]
        means = DeliveryMeans(
            database=database,
            repositories=repositories,
            directory=directory,
            forges=forges,
            logins=logins,
            pages=settings.public_url or "",
            email_domain=known.email_domain,
            bytes_max=known.bytes_max,
            seconds_max=known.seconds_max,
        )
        yield Delivery(means)


def _acting(forge: DeliveryForge, tokens: PersonTokens | None) -> DeliveryForge:
    """The same, as the people who let us, where their tokens are kept."""
    if tokens is None or not tokens.keeps(forge.surface):
        return forge

    async def token_of(person_id: UUID) -> SecretStr | None:
        return await tokens.of(person_id, forge.surface)

    return replace(forge, token_of=token_of, keeps_tokens=True)


def _github(settings: Settings, stack: AsyncExitStack) -> DeliveryForge | None:
    ours = settings.github
    if ours.app_id is None:
        return None
    from adapters.forge.github.app import App
    from adapters.forge.github.place import repository_of, web_address
    from adapters.forge.github.pulls import GitHubPulls
    from bot.forges import private_key

    try:
        key = private_key(ours)
    except WrongSettings as error:
        log.warning("nothing_delivered_to_github", why=str(error))
        return None
    if key is None:
        return None
    app = App(app_id=str(ours.app_id), private_key=key, api_url=ours.api_url)
    stack.callback(app.close)
    web = web_address(app.api_url)

    return DeliveryForge(
        surface="github",
        host=web.partition("://")[2],
        git_base=ours.url,
        name_of=lambda url: repository_of(url, ours.url),
        pulls=GitHubPulls(app),
        login=lambda repository: _narrowed(app, repository),
    )


@asynccontextmanager
async def _narrowed(app: "App", repository: str) -> AsyncIterator[tuple[str, str]]:
    """A token that may push to this repository and no more, until outside."""
    deadline = Deadline.after(LOGIN_SECONDS)
    try:
        token = await app.narrowed(deadline, repository, WITH_WORKFLOWS)
    except Rejected:
        # The App has not been given that: what changes a workflow will be refused, and told.
        token = await app.narrowed(deadline, repository, PUSHES)
    try:
        yield "x-access-token", token.get_secret_value()
    finally:
        with suppress(ChatError):
            await app.end(Deadline.after(LOGIN_SECONDS), token)


def _gitlab(settings: Settings, stack: AsyncExitStack) -> DeliveryForge | None:
    ours = settings.gitlab
    if ours.token is None:
        return None
    from adapters.forge.gitlab.client import Client
    from adapters.forge.gitlab.pulls import GitLabPulls
    from adapters.forge.gitlab.urls import repository_name

    secret = ours.token.get_secret_value()
    client = Client(ours.url, secret)
    stack.callback(client.close)

    @asynccontextmanager
    async def login(_repository: str) -> AsyncIterator[tuple[str, str] | None]:
        yield "oauth2", secret

    return DeliveryForge(
        surface="gitlab",
        host=client.host,
        git_base=ours.url,
        name_of=lambda url: repository_name(url, ours.url),
        pulls=GitLabPulls(client),
        login=login,
    )
