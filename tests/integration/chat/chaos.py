"""So many messages, an answer to each, and who listens and who sends is killed meanwhile."""

import asyncio
import json
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
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
PROGRAM = "tests.fakes.surface_process"
TIMES = Times(lease_seconds=12.0, send_seconds=10.0)
"""What is asked of a forge before a post has to fit, also on a host with other work to do."""
CATCH_UP_SECONDS = 1.0
"""Between two looks of ours at a forge that sends webhooks."""
KILLED_EVERY = 25
"""Messages, of which one at a random place kills who listens. Fewer are said to nobody than any
surface gives back: Discord a hundred of a channel."""
KILL_SECONDS_MAX = 0.2
"""After the message that kills: before it is heard, meanwhile, or after that."""

_HEARD = "SELECT count(*) FROM delivery WHERE prompt_id IS NOT NULL"
_FREE = """
    UPDATE lease SET until = least(until, now()) WHERE starts_with(name, 'listen:') RETURNING name
"""
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
    """One process at a time, a new one for each that is killed."""

    def __init__(self, senders: Senders, does: str, bury: Callable[[], Awaitable[None]]) -> None:
        """`bury` is done after the death of one, before its successor begins."""
        self._senders, self._does, self._bury = senders, does, bury
        self._pid = 0
        self._died = asyncio.Event()
        self.kills = 0

    def kill(self) -> None:
        """Kill it, right now."""
        if not self._died.is_set():
            self.kills += 1
            self._senders.signal(self._pid, signal.SIGKILL)
            self._died.set()

    async def start(self) -> None:
        self._pid = await self._senders.start(self._does)

    async def run(self) -> None:
        while True:
            await self._died.wait()
            while Path(f"/proc/{self._pid}").exists():
                await asyncio.sleep(0.005)
            await self._bury()
            await self.start()
            # Not before: one that starts can't be killed, and would live on beside its successor.
            self._died.clear()


async def _nothing() -> None:
    """Nobody waits for what a dead sender leaves: its lease ends by itself, which is tested."""


@asynccontextmanager
async def _mortal(
    does: str,
    url: str,
    surfaces: dict[str, Any],
    more: dict[str, Any],
    bury: Callable[[], Awaitable[None]] = _nothing,
) -> AsyncIterator[Mortal]:
    factory = SenderFactory(PROGRAM)
    senders = Senders(factory, url, json.dumps(surfaces), json.dumps(more))
    mortal = Mortal(senders, does, bury)
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


@asynccontextmanager
async def mortal_sender(
    url: str, surfaces: dict[str, Any], times: Times = TIMES
) -> AsyncIterator[Mortal]:
    """A process that sends the replies of these surfaces; see `surface_process`."""
    held = {"lease_seconds": times.lease_seconds, "send_seconds": times.send_seconds}
    async with _mortal("sends", url, surfaces, held) as mortal:
        yield mortal


@asynccontextmanager
async def mortal_listener(
    town: Town, surfaces: dict[str, Any], *, port: int = 0
) -> AsyncIterator[Mortal]:
    """A process that hears what is said on these surfaces; see `surface_process`.

    :param port: at which webhooks arrive, in each of its lives
    """
    more = {"port": port, "catch_up_seconds": CATCH_UP_SECONDS, "ask_seconds_max": SECONDS_MAX}

    async def pass_time() -> None:
        """What the dead one holds ends as if its time had passed."""
        await _rows(town, _FREE)

    async with _mortal("listens", town.database.url, surfaces, more, pass_time) as mortal:
        yield mortal


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Killing:
    """Kills who listens at random points of a talk, once what the last one missed is caught up."""

    def __init__(
        self,
        town: Town,
        listener: Mortal,
        chance: random.Random,
        nudge: Callable[[], None] = lambda: None,
    ) -> None:
        """`nudge` is done again and again while something that was said is not heard."""
        self._town, self._listener, self._nudge = town, listener, nudge
        starts = range(0, MESSAGES, KILLED_EVERY)
        self._at = {
            start + chance.randrange(KILLED_EVERY): chance.uniform(0, KILL_SECONDS_MAX)
            for start in starts
        }

    async def said(self, number: int) -> None:
        """The message of this number was said just now."""
        if number in self._at:
            asyncio.get_running_loop().call_later(self._at[number], self._listener.kill)
        if number % KILLED_EVERY == KILLED_EVERY - 1:
            await self.until_heard(number + 1)

    async def until_heard(self, count: int = MESSAGES) -> None:
        """Wait until so many messages became prompts, whoever heard them."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while (heard := (await _rows(self._town, _HEARD))[0][0]) != count:
                assert heard < count
                assert not (refused := await _rows(self._town, _REFUSED)), refused
                self._nudge()
                await asyncio.sleep(0.05)
