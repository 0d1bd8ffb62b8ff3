"""Listens to a workspace; a delivery is acknowledged once it was heard.

It comes over Socket Mode, which needs no address of ours, or over HTTP, signed.

Slack delivers again what was not acknowledged within three seconds, to any of our connections, so
that any number of processes may listen. Messages of one channel are heard in the order in which
they came, because the SDK starts them side by side.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp

from adapters.chat.incoming import Chosen, Hear
from adapters.chat.locks import Locks
from adapters.chat.own_words import Say, as_it_is
from adapters.chat.port import (
    ChatError,
    Content,
    Deadline,
    Gone,
    Rejected,
    Suggest,
    Unavailable,
)
from adapters.chat.prefixes import is_private
from adapters.chat.slack import picking
from adapters.chat.slack.calls import API, call, client
from adapters.chat.slack.directory import Directory, Ourselves
from adapters.chat.slack.files import Files
from adapters.chat.slack.history import History
from adapters.chat.slack.hooks import Hooks
from adapters.chat.slack.markup import ACTION, MENU, escape, options
from adapters.chat.slack.places import Place
from adapters.chat.slack.port import SlackChat, fitting
from adapters.chat.slack.reading import STOP_REACTIONS, Reader
from adapters.listening import Condition, Hears, Tell, nobody, pause

log = structlog.get_logger(__name__)

SEND_TO_US = "ona_send"
"""Callback id of the message shortcut, as the manifest names it."""
EVENTS = (
    "message",
    "app_mention",
    "reaction_added",
    "member_joined_channel",
    "app_home_opened",
    "agent_session_stopped",
    "agent_session_title_changed",
)
"""What we hear; the last two only where the workspace has agent sessions."""
LOOK_SECONDS = 5.0
"""How often the SDK looks whether the connection still stands."""
START_SECONDS = 15.0
RETRY_SECONDS = 30.0
ASK_SECONDS = 2.5
BROKE = "the connection to Slack broke"
NOT_HERE = "I am no member of this channel: `/invite` me, then ask again."
"""What `/ona` is answered there; whoever makes a listener may say it in other languages."""
HEARS = Hears(
    ways=("a connection of ours (Socket Mode)", "deliveries over HTTP"),
    follow_ups=True,
    deletions="yes",
    stop_signs=STOP_REACTIONS,
    missed="Slack delivers it again",
)

IsConnected = Callable[[], Awaitable[bool]]


def nothing(menu: str, typed: str) -> Sequence[str]:
    """Suggest nothing in any menu."""
    return ()


class SlackListener:
    """One connection to a workspace."""

    def __init__(
        self,
        *,
        bot_token: str,
        app_token: str = "",
        signing_secret: str = "",
        session: aiohttp.ClientSession,
        api: str = API,
        mention: str = "ona",
        start_reaction: str = "",
        tell: Tell = nobody,
        say: Say = as_it_is,
        suggest: Suggest = nothing,
    ) -> None:
        """`session` as made by `calls.open_session`.

        :param app_token: opens the connection of Socket Mode
        :param signing_secret: with it Slack delivers to `hooks` instead
        :param mention: what people call us
        :param start_reaction: the name of the reaction that sends a message to us; "": none does
        :param say: our words for somebody with a locale
        :param suggest: what menus offer to who types in them
        """
        self._say, self._suggest = say, suggest
        self._mention = mention
        self._start_reaction = start_reaction
        self._bot_token, self._session, self._api = bot_token, session, api
        self._tell = tell
        self._app_token = app_token
        self._signing_secret = signing_secret
        self.hooks = Hooks(signing_secret) if signing_secret else None
        self._client = client(bot_token, session, api=api)
        self._chat = SlackChat(self._client)

    async def run(self, hear: Hear, stop: asyncio.Event) -> None:
        """Listen until `stop`; tries again as long as Slack can't be reached."""
        while not stop.is_set():
            try:
                async with self._listening(hear) as is_connected:
                    await self._watch(is_connected, stop)
            except (ChatError, aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("slack_not_listening", why=str(error))
                self._tell(Condition.FAILING, str(error) or type(error).__name__)
                await pause(stop, RETRY_SECONDS)

    async def _watch(self, is_connected: IsConnected, stop: asyncio.Event) -> None:
        """Tell whether the connection stands until `stop`; the SDK makes another one by itself.

        :raises Unavailable: it does not for long; beginning anew finds out why
        """
        broken = Deadline.after(RETRY_SECONDS)
        while not stop.is_set():
            if await is_connected():
                broken = Deadline.after(RETRY_SECONDS)
                self._tell(Condition.LISTENING, "")
            elif broken.left_seconds > 0:
                self._tell(Condition.CONNECTING, BROKE)
            else:
                raise Unavailable(BROKE)
            await pause(stop, LOOK_SECONDS)

    @asynccontextmanager
    async def _listening(self, hear: Hear) -> AsyncIterator[IsConnected]:
        us = await self.ourselves()
        # What comes over a socket is not signed, but the SDK wants a secret to be there.
        secret = self._signing_secret or "none"
        app = AsyncApp(client=self._client, signing_secret=secret, process_before_response=True)
        directory = Directory(self._client, us)
        files = Files(self._session, self._bot_token, api=self._api)
        history = History(self._client, directory, files, us)
        reader = Reader(directory, history, us, start_reaction=self._start_reaction)
        _Hearing(
            reader, self._chat, hear, team=us.team, mention=self._mention, say=self._say
        ).register(app)

        async def suggest(ack: Any, body: dict[str, Any]) -> None:
            menu, typed = str(body["action_id"]).removeprefix(MENU), str(body.get("value") or "")
            await ack(options=options(self._suggest(menu, typed)))

        app.options(re.compile(rf"^{re.escape(MENU)}"))(suggest)
        async with self._connected(app) as is_connected:
            log.info("slack_listening", team=us.team, over="http" if self.hooks else "socket")
            yield is_connected

    @asynccontextmanager
    async def _connected(self, app: AsyncApp) -> AsyncIterator[IsConnected]:
        if self.hooks is not None:
            self.hooks.open(app)
            try:
                yield _always
            finally:
                self.hooks.close()
            return
        handler = AsyncSocketModeHandler(
            app, self._app_token, web_client=self._client, ping_interval=LOOK_SECONDS
        )
        try:
            # The SDK would ask for ever with a token that is wrong.
            handler.client.wss_uri = await self._address()
            await handler.connect_async()  # type: ignore[no-untyped-call]
            yield handler.client.is_connected
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call]

    async def _address(self) -> str:
        """Where to connect to, once. :raises ChatError: the app's token is wrong, or Slack away"""

        async def ask() -> Any:
            return await self._client.apps_connections_open(app_token=self._app_token)

        return str((await call(Deadline.after(START_SECONDS), ask))["url"])

    async def ourselves(self) -> Ourselves:
        """Who we are. :raises ChatError: the token is wrong, or Slack can't be reached"""
        answer = await call(Deadline.after(START_SECONDS), self._client.auth_test)
        return Ourselves(team=answer["team_id"], user=answer["user_id"], name=answer["user"])


class _Hearing:
    """The listeners of one app."""

    def __init__(
        self, reader: Reader, chat: SlackChat, hear: Hear, *, team: str, mention: str, say: Say
    ) -> None:
        self._say = say
        self._mention = mention
        self._reader = reader
        self._chat = chat
        self._hear = hear
        self._team = team
        self._locks = Locks()

    def register(self, app: AsyncApp) -> None:
        for kind in EVENTS:
            app.event(kind)(self._event)
        app.event(re.compile(".*"))(self._nothing)
        app.action(re.compile(rf"^{re.escape(ACTION)}\."))(self._action)
        app.view(picking.CALLBACK)(self._picked)
        app.shortcut(SEND_TO_US)(self._sent)
        app.command(re.compile(r"^/"))(self._command)

    async def _event(self, body: dict[str, Any]) -> None:
        event = body["event"]
        channel = event.get("channel") or (event.get("item") or {}).get("channel")
        async with self._locks.of(str(channel)):
            heard = await self._reader.event(body)
            if heard is not None:
                await self._hear(heard)

    async def _nothing(self) -> None:
        """Acknowledge what is not for us."""

    async def _action(self, ack: Any, body: dict[str, Any]) -> None:
        at = picking.where(body) if picking.is_pick(body["actions"][0]) else None
        if at is not None:
            author = await self._reader.presser(body)
            words = {one: self._say(one, author.locale) for one in picking.OF_FORM}
            await self._chat.open_form(body["trigger_id"], picking.view(at, words))
            await ack()
            return
        heard = await self._reader.action(body)
        says = heard.says if isinstance(heard, Chosen) else heard and heard.text
        if heard is not None and says:
            await self._hear(heard)
        await ack()

    async def _picked(self, ack: Any, body: dict[str, Any]) -> None:
        """A form was sent in which somebody chose a moment."""
        said = await self._reader.picked(body)
        if said is None:
            author = await self._reader.presser(body)
            why = self._say(picking.NEITHER, author.locale)
            await ack(response_action="errors", errors={picking.WORDS: why})
            return
        await self._hear(said)
        await ack()

    async def _sent(self, ack: Any, body: dict[str, Any]) -> None:
        await self._hear(await self._reader.sent(body))
        await ack()

    async def _command(self, ack: Any, body: dict[str, Any]) -> None:
        """Slack runs commands outside of threads only: a prompt opens one, with itself on top."""
        said = await self._reader.command(body, thread="")
        if said.text.strip().casefold() in {"", "help", "sessions"}:
            text = said.text.strip() or "sessions"
            await self._hear(replace(said, text=text))
        elif is_private(said.text, self._mention):
            # Nobody else sees a command, and nobody is to see this one.
            await self._hear(said)
        elif said.author.standing == "member" and not said.spot.shared:
            thread = await self._open(body, said.author.name, said.text)
            if thread is None:
                await ack(self._say(NOT_HERE, said.author.locale))
                return
            await self._hear(await self._reader.command(body, thread=thread))
        else:
            await self._hear(said)
        await ack()

    async def _open(self, body: dict[str, Any], name: str, text: str) -> str | None:
        """Post what was asked; the thread under it. None: we may not post there."""
        place = Place(self._team, body["channel_id"], "")
        words = fitting(escape(f"{name}: {text}", code=False))
        try:
            return await self._chat.post(
                str(place), Content(text=words), body["trigger_id"], Deadline.after(ASK_SECONDS)
            )
        except (Gone, Rejected):
            return None


async def _always() -> bool:
    """Over HTTP there is no connection to break."""
    return True
