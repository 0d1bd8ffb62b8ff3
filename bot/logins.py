"""How repositories of the installation's own forges are read by this host: with our account there.

The token is in this process's memory and in the environment of the git that it runs, never in a
machine; what a machine gets is a grant of its turn, at the gateway.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from adapters.chat.port import ChatError, Deadline
from bot.config import Settings
from bot.errors import WrongSettings
from bot.gateway import code_hosts
from bot.work.remote import Logins
from bot.work.routes import path_of

if TYPE_CHECKING:
    from adapters.forge.github.app import App

log = structlog.get_logger(__name__)

SECONDS_MAX = 15.0


@asynccontextmanager
async def logins_open(settings: Settings) -> AsyncIterator[Logins]:
    """The logins that the settings have, while inside."""
    app = _app(settings)

    async def login(url: str) -> tuple[str, str] | None:
        for host in code_hosts(settings):
            repository = path_of(url, host)
            if repository is None:
                continue
            if host.surface == "gitlab" and settings.gitlab.token is not None:
                return "oauth2", settings.gitlab.token.get_secret_value()
            if host.surface == "github" and app is not None:
                return await _installed(app, repository)
        return None

    try:
        yield login
    finally:
        if app is not None:
            app.close()


async def _installed(app: "App", repository: str) -> tuple[str, str] | None:
    try:
        token = await app.token(Deadline.after(SECONDS_MAX), repository)
    except ChatError as error:
        # It may be public, or the host's own git has a way: git says what it finds.
        log.info("no_login_for_repository", repository=repository, why=str(error))
        return None
    return "x-access-token", token


def _app(settings: Settings) -> "App | None":
    github = settings.github
    if github.app_id is None:
        return None
    # Whoever has no GitHub needs nothing of what speaks to it.
    from adapters.forge.github.app import App
    from bot.forges import private_key

    try:
        key = private_key(github)
    except WrongSettings as error:
        log.warning("no_login_for_github", why=str(error))
        return None
    if key is None:
        return None
    return App(app_id=str(github.app_id), private_key=key, api_url=github.api_url)
