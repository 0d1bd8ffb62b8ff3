"""Opens GitLab: what posts there, what hears it, and what follows its projects."""

from contextlib import AsyncExitStack
from functools import partial

from adapters.forge import polled
from adapters.forge.gitlab.ci import GitLabChecks
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.event_polling import GitLabEvents
from adapters.forge.gitlab.happening import EventReader
from adapters.forge.gitlab.hooks import GitLabHooks
from adapters.forge.gitlab.polling import GitLabPolling
from adapters.forge.gitlab.port import GitLabForge
from adapters.forge.gitlab.reading import Reader
from adapters.forge.gitlab.rereading import GitLabRereads
from adapters.forge.gitlab.search import GitLabSearch
from adapters.forge.marks import Marks
from bot.config import Settings
from bot.forges import GITLAB, Opening
from bot.store.cursors import StoredCursors
from bot.surfaces import say
from bot.words.catalogue import N_

OF_ADAPTERS = (N_("Over."), N_("Goes on at {commit}."))
"""What the adapter says to people itself; it knows no catalogue."""


def open_gitlab(opening: Opening) -> None:
    """The token's user, with what hears them."""
    settings = opening.settings
    ours = settings.gitlab
    client = Client(ours.url, ours.token.get_secret_value() if ours.token else "")
    opening.stack.callback(client.close)
    port = GitLabForge(client, opening.marks, say=partial(say, settings.language))
    names = (f"/{settings.mention}",)
    reader = Reader(client, names=names, bots=ours.bots, forks=ours.forks)
    happens = EventReader(client, opening.wanted(GITLAB, port), bots=ours.bots, forks=ours.forks)
    cursors = StoredCursors(opening.database, GITLAB)
    opening.forges.searches[GITLAB] = GitLabSearch(client)
    if ours.webhook_secret is not None:
        _hear(opening, reader, happens, ours.webhook_secret.get_secret_value())
    listener = GitLabPolling(
        client,
        reader,
        opening.repositories(port),
        cursors,
        seconds=opening.standings.delay_seconds(GITLAB),
        tell=opening.standings.tell_of(GITLAB),
        happens=GitLabEvents(client, happens, cursors),
    )
    opening.add(GITLAB, port, listener.run, GitLabRereads(client), GitLabChecks(client))


def gitlab_port(settings: Settings, stack: AsyncExitStack, marks: Marks) -> GitLabForge:
    """The token's user alone: what says who may do what."""
    ours = settings.gitlab
    client = Client(ours.url, ours.token.get_secret_value() if ours.token else "")
    stack.callback(client.close)
    return GitLabForge(client, marks)


def _hear(opening: Opening, reader: Reader, happens: EventReader, secret: str) -> None:
    """Hear webhooks; where their secret can't be one, ask instead."""
    try:
        opening.forges.hooks[GITLAB] = GitLabHooks(reader, secret, happens)
    except ValueError as error:
        opening.standings.remark(
            GITLAB,
            f"no webhook is heard: gitlab.webhook_secret: {error}",
            mode="poll",
            delay_seconds=polled.POLL_SECONDS,
        )
