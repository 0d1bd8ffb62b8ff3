"""So many messages, an answer to each, and senders that are killed meanwhile."""

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.conversation.outgoing import Times
from bot.store.database import is_away
from bot.work.queue import Event, append_events, lock_session
from tests.integration.conftest import Town
from tests.integration.outbox.rig import SenderFactory, Senders

MESSAGES_USUAL = 100
MESSAGES = int(os.environ.get("ONA_TEST_CHAT_MESSAGES", MESSAGES_USUAL))
SEED = int(os.environ.get("ONA_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
SECONDS_MAX = max(3600, MESSAGES * 12)
"""Ends a run that hangs; a slow host is given its time."""
WAIT_SECONDS_MAX = SECONDS_MAX * 0.45
PROGRAM = "tests.fakes.surface_sender_process"
TIMES = Times(lease_seconds=12.0, send_seconds=10.0)
"""What is asked of a forge before a post has to fit, also on a host with other work to do."""

_UNTOLD = """
    SELECT prompt.session_id, delivery.text
      FROM prompt JOIN delivery ON delivery.prompt_id = prompt.id
     WHERE NOT EXISTS (SELECT FROM turn_event AS event
                        WHERE event.session_id = prompt.session_id AND event.kind = 'notice'
                          AND event.body ->> 'text' = 'heard ' || delivery.text)
"""
_TOLD = """
    SELECT count(*) FROM turn_event
     WHERE kind = 'notice' AND starts_with(body ->> 'text', 'heard ')
"""
_REFUSED = "SELECT answer ->> 'text' FROM delivery WHERE answer ->> 'verdict' = 'refused'"
_NOTICES = """
    SELECT state, count(*) FROM reply
     WHERE kind = 'notice' AND starts_with(body, 'heard') GROUP BY state
"""
_KNOWN = text(
    """
    SELECT count(*) FROM turn_event
     WHERE session_id = :session AND kind = 'notice' AND body ->> 'text' = :words
    """
)
_LET_GO = """
    UPDATE reply SET due_at = least(due_at, now()) WHERE kind = 'notice' AND state = 'pending'
    RETURNING id
"""


def words(number: int) -> str:
    return f"n{number:04d}"


def chance_of(seed: int) -> random.Random:
    print(f"seed {seed}: set ONA_TEST_SEED to repeat")
    return random.Random(seed)


async def _rows(town: Town, statement: str) -> list[tuple[Any, ...]]:
    """What it returns; a database that a busy machine lets wait too long is asked again."""
    while True:
        try:
            return await town.rows(statement)
        except Exception as error:
            if not is_away(error):
                raise


async def _tell(town: Town, session: UUID, words: str) -> None:
    """Tell the session once, unless the database is away, after which nobody knows."""
    try:
        async with town.database.begin() as tx:
            # Whoever has asked before and heard nothing is waited for, then looked for.
            await lock_session(tx, session)
            if not await tx.scalar(_KNOWN, {"session": session, "words": words}):
                await append_events(tx, session, [Event(kind="notice", body={"text": words})])
    except Exception as error:
        if not is_away(error):
            raise


async def answer_all(town: Town, count: int = MESSAGES) -> None:
    """Tell the session of each prompt what it heard, as a turn's end would, until so many."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while await _rows(town, _TOLD) != [(count,)]:
            for session, said in await _rows(town, _UNTOLD):
                await _tell(town, session, f"heard {said}")
            assert not (refused := await _rows(town, _REFUSED)), refused
            await asyncio.sleep(0.05)


async def until_sent(town: Town, count: int = MESSAGES) -> None:
    """Wait until so many notices are posted; what waits out a back-off is let go on at once."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while (states := dict(await _rows(town, _NOTICES))) != {"sent": count}:
            assert "failed" not in states, states
            await _rows(town, _LET_GO)
            await asyncio.sleep(0.2)


async def assert_each_a_prompt(town: Town, count: int = MESSAGES) -> None:
    """Every message became one prompt, whatever came of its deliveries."""
    said = await town.rows("SELECT text FROM delivery WHERE prompt_id IS NOT NULL ORDER BY 1")
    assert said == [(words(number),) for number in range(count)]
    assert await town.value("SELECT count(*) FROM prompt") == count


class Mortal:
    """One sender at a time, a new one for each that is killed."""

    def __init__(self, senders: Senders) -> None:
        self._senders = senders
        self._pid = 0
        self._died = asyncio.Event()
        self.kills = 0

    def kill(self) -> None:
        """Kill the sender, right now."""
        if not self._died.is_set():
            self.kills += 1
            self._senders.signal(self._pid, signal.SIGKILL)
            self._died.set()

    async def start(self) -> None:
        self._pid = await self._senders.start()

    async def run(self) -> None:
        while True:
            await self._died.wait()
            await self.start()
            # Not before: one that starts can't be killed, and would live on beside its successor.
            self._died.clear()


@asynccontextmanager
async def mortal_sender(
    url: str, surfaces: dict[str, Any], times: Times = TIMES
) -> AsyncIterator[Mortal]:
    """A process that sends the replies of these surfaces; see `surface_sender_process`."""
    factory = SenderFactory(PROGRAM)
    held = (str(times.lease_seconds), str(times.send_seconds))
    senders = Senders(factory, url, json.dumps(surfaces), *held)
    mortal = Mortal(senders)
    try:
        await mortal.start()
        running = asyncio.create_task(mortal.run())
        try:
            yield mortal
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    finally:
        senders.close()
        factory.close()
