"""Opens GitHub: what posts there, what hears it, and what follows its repositories."""

import secrets
from contextlib import AsyncExitStack
from functools import partial

import structlog

from adapters.forge.github.app import App
from adapters.forge.github.ci import GitHubChecks
from adapters.forge.github.event_polling import GitHubEvents
from adapters.forge.github.happening import EventReader
from adapters.forge.github.hooks import GitHubHooks
from adapters.forge.github.polling import GitHubPolling
from adapters.forge.github.port import GitHubForge
from adapters.forge.github.reading import Reader
from adapters.forge.github.rereading import GitHubRereads
from adapters.forge.github.search import GitHubSearch
from adapters.forge.marks import Marks
from adapters.listening import Condition
from bot.config import Settings
from bot.errors import WrongSettings
from bot.forges import GITHUB, Opening, private_key
from bot.store.cursors import StoredCursors
from bot.surfaces import say
from bot.words.catalogue import N_

log = structlog.get_logger(__name__)

OF_ADAPTERS = (
    N_("Working"),
    N_("Done"),
    N_("Ended"),
    N_("Moved on"),
    N_("The pull request has newer commits: see the check there."),
    N_("Stop"),
    N_("End what is running"),
)
"""What the adapter says to people itself; it knows no catalogue."""


def open_github(opening: Opening) -> None:
    """The App, with what hears it."""
    settings = opening.settings
    ours = settings.github
    app = App(app_id=str(ours.app_id), private_key=_key(opening), api_url=ours.api_url)
    opening.stack.callback(app.close)
    port = GitHubForge(app, opening.marks, say=partial(say, settings.language))
    reader = Reader(app, mention=settings.mention, forks=ours.forks)
    happens = EventReader(app, opening.wanted(GITHUB, port), forks=ours.forks)
    cursors = StoredCursors(opening.database, GITHUB)
    opening.forges.searches[GITHUB] = GitHubSearch(app)
    if ours.webhook_secret is not None:
        secret = ours.webhook_secret.get_secret_value().encode()
        opening.forges.hooks[GITHUB] = GitHubHooks(reader, secret=secret, happens=happens)
    listener = GitHubPolling(
        app,
        reader,
        cursors,
        opening.repositories(port),
        every_seconds=opening.standings.delay_seconds(GITHUB),
        tell=opening.standings.tell_of(GITHUB),
        happens=GitHubEvents(app, happens, cursors),
    )
    opening.add(GITHUB, port, listener.run, GitHubRereads(app, reader), GitHubChecks(app))


def github_port(settings: Settings, stack: AsyncExitStack, marks: Marks) -> GitHubForge:
    """The App alone: what says who may do what. :raises WrongSettings: its key can't be read"""
    ours = settings.github
    app = App(app_id=str(ours.app_id), private_key=private_key(ours) or "", api_url=ours.api_url)
    stack.callback(app.close)
    return GitHubForge(app, marks)


def _key(opening: Opening) -> str:
    """The App's key; where it can't be read, one that opens nothing."""
    try:
        return private_key(opening.settings.github) or ""
    except WrongSettings as error:
        log.warning("github_key_not_read", why=error.happened)
        opening.standings.tell(GITHUB, Condition.FAILING, error.happened)
        return f"unreadable {secrets.token_urlsafe()}"
