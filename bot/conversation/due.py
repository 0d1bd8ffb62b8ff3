"""How reminders that are due reach people: as replies, or as a prompt whose answer becomes some."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from adapters.chat.incoming import Quoted
from adapters.chat.port import ChatError, ChatPort, Unavailable
from bot.automate.reminders.answer_rows import Answer
from bot.automate.reminders.answering import asked_of_agent, compares, shown
from bot.automate.reminders.firings import Put
from bot.automate.reminders.silencing import threads_in
from bot.conversation import reminder_words
from bot.conversation.inbox import Inbox
from bot.conversation.membership import Membership
from bot.conversation.message import IncomingMessage
from bot.conversation.reminder_places import (
    OF_CHANNEL,
    SURFACE,
    ensure_session,
    thread_at,
    threads_of,
)
from bot.conversation.saying import announce
from bot.errors import TellPerson
from bot.govern.people import standing_of
from bot.govern.rights import Level
from bot.store.database import Database
from bot.store.transaction import Transaction
from bot.words.catalogue import speaking

log = structlog.get_logger(__name__)

US = "ona"
"""Who said what we posted before, for an agent."""


class Due:
    """What `bot.automate.reminders.firings` acts by."""

    def __init__(
        self, database: Database, inbox: Inbox, ports: Mapping[str, ChatPort] | None = None
    ) -> None:
        """`inbox` takes what is to be answered; `ports` by surface say who is in a channel."""
        self._database = database
        self._inbox = inbox
        self._members = Membership(database, ports or {})

    async def check(self, row: Any) -> bool:
        """Whether its creator is in the channels, and may read the project.

        :raises ChatError: that is not known now
        """
        if not await self._reads(row):
            return False
        async with self._database.begin() as tx:
            there = await threads_of(tx, [target["thread"] for target in row.targets])
        for target in row.targets:
            thread, channel = there.get(target["thread"]), target.get("channel")
            if thread is None or not channel:
                continue
            if not await self._members.is_in(thread.surface, channel, row.creator_id):
                return False
        return True

    async def _reads(self, row: Any) -> bool:
        rights = self._inbox.rights

        async def look() -> Level:
            async with self._database.begin() as tx:
                who = await standing_of(tx, row.creator_id)
                return (await rights.levels(tx, who, [row.project_id]))[row.project_id]

        level = await rights.settled(look)
        if level.level is None:
            raise Unavailable(level.forge)
        return level.reads

    async def deny(self, row: Any) -> None:
        """Tell its creator alone that it is paused; where that can't be, where they set it."""
        place, surface = "", ""
        async with self._database.begin() as tx:
            set_in = (await threads_of(tx, [str(row.thread_id)])) if row.thread_id else {}
        for thread in set_in.values():
            surface = thread.surface
            try:
                place = await self._members.alone(surface, thread.place, row.creator_id)
            except ChatError as error:
                log.info("creator_not_reached", reminder=row.short, why=str(error))
        async with self._database.begin() as tx:
            if place and row.session_id is not None:
                own = f"{place}~{row.session_id}"
                to = await thread_at(tx, surface, own, row.session_id, row.language)
            elif row.thread_id is not None:
                to = row.thread_id
            else:
                return
            with speaking(row.language, row.zone):
                await announce(
                    tx, to, f"not:{row.firing_id}", reminder_words.not_said(row, "member")
                )

    async def post(self, tx: Transaction, row: Any, answer: Answer | None = None) -> None:
        """Write the replies that say it, once for each firing and place."""
        with speaking(row.language, row.zone):
            before = row.what if answer is None else answer.notice
            footer = reminder_words.footer(row, is_answer=answer is not None)
            words = "\n\n".join(part for part in (before, footer) if part)
            above = shown(answer.text) if answer is not None else ""
            buttons = reminder_words.of_firing(row.short)
            for thread_id, notify in await self._places(tx, row, answer):
                key = f"firing:{row.firing_id}"
                await announce(
                    tx, thread_id, key, words, above=above, buttons=buttons, notify=notify
                )

    async def _places(
        self, tx: Transaction, row: Any, answer: Answer | None = None
    ) -> Sequence[tuple[UUID, str]]:
        """The threads, with whom to notify; what stands in a channel has the answer's session."""
        if threads_in(row.targets) is None:
            # Its places can't be read any more: where it was set it can be set anew.
            return [(row.thread_id, "")] if row.thread_id else []
        there = await threads_of(tx, [target["thread"] for target in row.targets])
        found: list[tuple[UUID, str]] = []
        for target in row.targets:
            thread = there.get(target["thread"])
            if thread is None:
                continue
            thread_id = thread.id
            if answer is not None and OF_CHANNEL in thread.place:
                own = f"{thread.place.partition('~')[0]}~{answer.session_id}"
                session_id = answer.session_id
                thread_id = await thread_at(tx, thread.surface, own, session_id, row.language)
            found.append((thread_id, target.get("notify", "")))
        return found

    async def tell(self, tx: Transaction, row: Any, why: str, *, key: str = "") -> None:
        """Say in its places why there is nothing, once for each firing, or `key`."""
        with speaking(row.language, row.zone):
            words = reminder_words.not_said(row, why)
            for thread_id, _notify in await self._places(tx, row):
                await announce(tx, thread_id, key or f"not:{row.firing_id}", words)

    async def ask(self, tx: Transaction, row: Any, answer: Answer) -> None:
        """Say in its places what the agent asks, and where it is answered."""
        with speaking(row.language, row.zone):
            words = reminder_words.asks(row, answer.question, answer.session)
            for thread_id, notify in await self._places(tx, row):
                await announce(tx, thread_id, f"asks:{row.firing_id}", words, notify=notify)

    async def prompt(self, row: Any) -> Put:
        """Have it answered in its session, once, by an agent that may read and not write."""
        key = f"clock/{row.firing_id}"
        before = (Quoted(key="", author=US, at=row.answered_at, text=row.last_answer),)
        message = IncomingMessage(
            surface=SURFACE,
            delivery_key=key,
            message_key=key,
            place=f"reminder/{row.id}",
            person_id=row.creator_id,
            language=row.language,
            text=asked_of_agent(row),
            quoted=before if compares(row) else (),
            read_only=True,
        )
        try:
            await self._inbox.rights.settled(partial(self._open, row, message))
        except TellPerson as refusal:
            return Put(why=refusal.happened)
        accepted = await self._inbox.accept(message)
        return Put(prompt_id=accepted.prompt_id, why=accepted.text)

    async def _open(self, row: Any, message: IncomingMessage) -> None:
        async with self._database.begin() as tx:
            await ensure_session(tx, row, message)
