"""Reads what was said in a thread of Slack before a message in it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from adapters.chat.files import Ref
from adapters.chat.history import HISTORY_SECONDS, bounded
from adapters.chat.incoming import Quoted, Said
from adapters.chat.port import ChatError, Deadline, Gone, Rejected
from adapters.chat.slack.calls import call
from adapters.chat.slack.directory import ASK_SECONDS, Directory, Ourselves
from adapters.chat.slack.files import Files

log = structlog.get_logger(__name__)

PAGE = 200
PAGES_MAX = 5
"""Slack gives the oldest first: of a thread of more messages than these the newest are missing."""
KEPT_MAX = 100
"""Messages of which it is remembered what was read before them."""
SAID = frozenset({None, "file_share", "thread_broadcast", "me_message", "bot_message"})
"""Subtypes of messages that say something."""

Message = Mapping[str, Any]


class History:
    """Reads threads of one workspace."""

    def __init__(
        self, client: AsyncWebClient, directory: Directory, files: Files, ourselves: Ourselves
    ) -> None:
        """`client` as made by `calls.client`."""
        self._files = files
        self._client = client
        self._directory = directory
        self._us = ourselves
        self._read: dict[str, tuple[tuple[Quoted, ...], list[Ref]]] = {}
        """By message, what was read before it: a mention comes as two events."""

    async def with_material(self, said: Said, event: Message) -> Said:
        """`said` with what was said before it and the files beside both, where it may be for us."""
        spot, thread = said.spot, event.get("thread_ts")
        follows = thread is not None and thread != event["ts"]
        if said.author.standing != "member" or spot.shared:
            return said
        quoted: tuple[Quoted, ...] = ()
        files = self._files.beside(said.key, event)
        if said.to_us and follows and not spot.direct:
            quoted, others = await self._before(event["channel"], str(thread), event["ts"])
            files += others
        elif not said.to_us and (said.to_others or not follows):
            return said
        return replace(said, quoted=quoted, files=await self._files.read(files))

    async def _before(
        self, channel: str, thread: str, ts: str
    ) -> tuple[tuple[Quoted, ...], list[Ref]]:
        """What others said in the thread before the message `ts`, and the files beside it.

        Nothing when it can't be read now.
        """
        message = self._key(channel, {"ts": ts})
        if message in self._read:
            return self._read.pop(message)
        deadline = Deadline.after(HISTORY_SECONDS)
        try:
            async with asyncio.timeout(HISTORY_SECONDS):
                messages = await self._messages(channel, thread, ts, deadline)
                quoted = bounded([await self._quoted(channel, one) for one in messages])
        except (ChatError, TimeoutError) as error:
            log.info("thread_not_read", channel=channel, thread=thread, why=str(error))
            return (), []
        taken = {one.key for one in quoted}
        files = [
            file
            for one in reversed(messages)
            if (key := self._key(channel, one)) in taken
            for file in self._files.beside(key, one)
        ]
        if len(self._read) >= KEPT_MAX:
            del self._read[next(iter(self._read))]
        self._read[message] = quoted, files
        return quoted, files

    async def read(self, channel: str, ts: str) -> Message | None:
        """One message; None: it is not there, or not for us.

        :raises ChatError: Slack can't be asked now
        """
        try:
            # Of a reply Slack gives that alone, or its thread's first message before it.
            page = await call(
                Deadline.after(ASK_SECONDS),
                lambda: self._client.conversations_replies(
                    channel=channel, ts=ts, oldest=ts, latest=ts, inclusive=True, limit=2
                ),
            )
        except (Gone, Rejected):
            return None
        return next((one for one in page["messages"] if one["ts"] == ts), None)

    async def _messages(
        self, channel: str, thread: str, ts: str, deadline: Deadline
    ) -> list[Message]:
        found: dict[str, Message] = {}
        cursor = ""
        for _ in range(PAGES_MAX):
            page = await call(
                deadline,
                lambda: self._client.conversations_replies(
                    channel=channel,
                    ts=thread,
                    latest=ts,
                    limit=PAGE,
                    cursor=cursor or None,  # noqa: B023
                ),
            )
            found |= {one["ts"]: one for one in page["messages"] if self._counts(one, ts)}
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                break
        return [found[one] for one in sorted(found, key=float)]

    def _counts(self, message: Message, ts: str) -> bool:
        ours = message.get("user") == self._us.user
        return not ours and message.get("subtype") in SAID and float(message["ts"]) < float(ts)

    async def _quoted(self, channel: str, message: Message) -> Quoted:
        return Quoted(
            key=self._key(channel, message),
            author=await self._author(message),
            at=datetime.fromtimestamp(float(message["ts"]), UTC),
            text=await self._directory.plain(words_of(message)) + _named(message),
        )

    def _key(self, channel: str, message: Message) -> str:
        return f"{self._us.team}/{channel}/{message['ts']}"

    async def _author(self, message: Message) -> str:
        bot = message.get("bot_profile") or {}
        for name in (message.get("username"), bot.get("name")):
            if name:
                return str(name)
        user = message.get("user")
        return (await self._directory.author(user)).name if user else "somebody"


def _named(message: Message) -> str:
    """The names of the files beside it."""
    names = [str(one.get("name") or "file") for one in message.get("files") or ()]
    return "".join(f"\n[file {name}]" for name in names)


def words_of(message: Message) -> str:
    """What it says; of an alert that is often in its attachments only."""
    attached = [
        str(one.get("text") or one.get("fallback") or "")
        for one in message.get("attachments") or ()
    ]
    return "\n".join(part for part in (str(message.get("text") or ""), *attached) if part)
