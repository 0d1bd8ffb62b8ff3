"""The surfaces of this installation: those whose tokens the settings have, and the pull ones.

One that does not work is said in the log and by `ona doctor`; every other one goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import structlog

from adapters.chat.incoming import Hear, Heard
from adapters.chat.port import ChatPort
from adapters.chat.terminal import PULL_SURFACES, TerminalChat
from adapters.forge.accounts import Accounts
from adapters.forge.hooks import Hooks
from adapters.forge.port import ForgePort, Searches
from adapters.listening import Condition
from bot.config import Settings, SlackSettings
from bot.errors import TryAgain
from bot.forges import open_forges
from bot.govern.rights import Rights
from bot.leading import Listen
from bot.standing import Standings, brief
from bot.store.database import Database
from bot.switched import switches
from bot.web.services import Hook
from bot.words.catalogue import gettext as _
from bot.words.catalogue import nearest, speaking
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

SLACK, DISCORD = "slack", "discord"
AGAIN_SECONDS = 30.0
"""After a listener broke for a reason that nobody expected."""


@dataclass(kw_only=True)
class Surfaces:
    """What replies go to, and what is listened to."""

    database: Database
    owner: str
    standings: Standings
    ports: dict[str, ChatPort] = field(
        default_factory=lambda: {name: TerminalChat() for name in PULL_SURFACES}
    )
    forges: dict[str, ForgePort] = field(default_factory=dict)
    """Those of the ports that say who may do what."""
    guarded: Collection[str] = ()
    """Hosts whose repositories are closed unless one of them says so."""
    accounts: dict[str, Accounts] = field(default_factory=dict)
    """Those forges that can be asked whose account somebody has."""
    searches: Mapping[str, Searches] = field(default_factory=dict)
    """What finds repositories on forges."""
    forge_hooks: dict[str, Hooks] = field(default_factory=dict)
    """What hears the webhooks of forges."""
    listeners: dict[str, Listen] = field(default_factory=dict)
    hooks: dict[str, Hook] = field(default_factory=dict)
    """What hears the requests of those that deliver over HTTP."""

    @property
    def rights(self) -> Rights:
        """What decides who may do what."""
        return Rights(self.database, self.forges, self.guarded)

    async def listen(self, gate: "Gate", stop: asyncio.Event) -> None:
        """Listen to all of them until `stop`; what is being heard by then is heard to its end."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.standings.report(self.database, self.owner, stop))
                for name, listen in self.listeners.items():
                    group.create_task(self._keep_listening(name, listen, gate.hear, stop))
        finally:
            await gate.close()

    async def _keep_listening(
        self, name: str, listen: Listen, hear: Hear, stop: asyncio.Event
    ) -> None:
        while not stop.is_set():
            try:
                await listen(hear, stop)
            except Exception as error:
                log.exception("surface_not_listening", surface=name)
                self.standings.tell(name, Condition.FAILING, brief(error))
                await first_of(stop, seconds_max=AGAIN_SECONDS)


class Gate:
    """What an SDK began to let us hear is not cut off with its connection."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._hearing: set[asyncio.Future[None]] = set()
        self._closed = False

    async def hear(self, heard: Heard) -> None:
        """Let it be heard. :raises TryAgain: nothing was, and it has to be delivered again"""
        if self._closed:
            raise TryAgain("ona is stopping", kept="nothing was accepted", do="deliver it again")
        hearing = asyncio.ensure_future(self._hear(heard))
        self._hearing.add(hearing)
        hearing.add_done_callback(self._hearing.discard)
        await asyncio.shield(hearing)

    async def close(self) -> None:
        """Wait until everything is heard that began to be."""
        self._closed = True
        while self._hearing:
            await asyncio.wait(self._hearing)


@asynccontextmanager
async def open_surfaces(
    settings: Settings, database: Database, *, owner: str
) -> AsyncIterator[Surfaces]:
    """Open the surfaces that the settings have tokens for; nothing is connected yet.

    :param owner: names this process, where only one of the installation may listen
    """
    on = {name for name, switch in switches(settings).items() if switch.on}
    standings = Standings(switches(settings))
    surfaces = Surfaces(database=database, owner=owner, standings=standings)
    async with AsyncExitStack() as stack:
        forges = await open_forges(stack, settings, database, standings, owner=owner)
        surfaces.ports.update(forges.ports)
        surfaces.listeners.update(forges.listeners)
        surfaces.forges, surfaces.forge_hooks = forges.ports, forges.hooks
        surfaces.accounts, surfaces.guarded = forges.accounts, forges.hosts
        surfaces.searches = forges.searches
        tokens = slack_tokens(settings.slack)
        # Each brings its SDK along: only what is switched on is imported.
        if tokens is not None and SLACK in on:
            with standings.opening(SLACK):
                from bot.on_slack import open_slack

                await open_slack(stack, surfaces, settings, tokens)
        if settings.discord.token is not None and DISCORD in on:
            with standings.opening(DISCORD):
                from bot.on_discord import open_discord

                token = settings.discord.token.get_secret_value()
                open_discord(stack, surfaces, settings, token)
        yield surfaces


def say(language: str, words: str, locale: str | None) -> str:
    """Words of an adapter, which knows no catalogue, for somebody with a locale."""
    with speaking(nearest(locale, language)):
        return _(words)


def slack_tokens(settings: SlackSettings) -> Mapping[str, str] | None:
    """The secrets of Slack by name; None: it is off."""
    given = {
        "bot_token": settings.bot_token,
        "app_token": settings.app_token,
        "signing_secret": settings.signing_secret,
    }
    if settings.bot_token is None or (given["app_token"] or given["signing_secret"]) is None:
        return None
    return {name: secret.get_secret_value() for name, secret in given.items() if secret}
