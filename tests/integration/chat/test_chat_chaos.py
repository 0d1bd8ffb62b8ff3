"""Invariant 1 on chat surfaces, whatever happens on the way in and on the way out.

So many messages are said while deliveries come twice, late, in another order and over connections
that break; each is answered by a notice while the surface throttles, breaks down before or after it
acted, and drops answers. Every message becomes one prompt, every notice is posted once.
ONA_TEST_CHAT_MESSAGES says how many, ONA_TEST_SEED repeats a run.
"""

import asyncio
import math
import os
import random
from dataclasses import replace

import pytest
from sqlalchemy import text

from adapters.chat.discord.port import DiscordChat
from adapters.chat.slack.port import SlackChat
from bot.work.queue import Event, append_events
from tests.fakes.discord import Bad as DiscordBad
from tests.fakes.discord import BadEvent
from tests.fakes.slack import Bad as SlackBad
from tests.fakes.slack import Mishap
from tests.integration.chat import discord_rig, slack_rig

MESSAGES = int(os.environ.get("ONA_TEST_CHAT_MESSAGES", "100"))
SEED = int(os.environ.get("ONA_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
POST = "POST /channels/{channel}/messages"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(max(180, MESSAGES * 3))]


@pytest.fixture
def chance(monkeypatch) -> random.Random:
    """Chance, and ports without limits of their own: the surface's are not what is tested."""
    print(f"seed {SEED}: set ONA_TEST_SEED to repeat")
    for kind in (SlackChat, DiscordChat):
        monkeypatch.setattr(kind, "limits", replace(kind.limits, rates={}))
    return random.Random(SEED)


async def answer_all(town) -> None:
    """Tell each session's thread how often it was asked, as a turn's end would."""
    answered: set[object] = set()
    async with asyncio.timeout(MESSAGES * 3):
        while len(answered) < MESSAGES:
            for session, said in await town.rows(
                "SELECT prompt.session_id, delivery.text FROM prompt"
                " JOIN delivery ON delivery.prompt_id = prompt.id"
            ):
                if session not in answered:
                    answered.add(session)
                    async with town.database.begin() as tx:
                        notice = Event(kind="notice", body={"text": f"heard {said}"})
                        await append_events(tx, session, [notice])
            await asyncio.sleep(0.05)


async def until_sent(town) -> None:
    """Wait until every notice is posted; what waits out its time is let go on at once."""
    left = text("SELECT count(*) FROM reply WHERE kind = 'notice' AND state <> 'sent'")
    async with asyncio.timeout(MESSAGES * 3):
        while True:
            async with town.database.begin() as tx:
                if not await tx.scalar(left):
                    return
            await asyncio.sleep(0.2)


def words(number: int) -> str:
    return f"n{number:04d}"


async def test_answered_once_in_slack_whatever_is_lost_doubled_late_or_broken(town, chance):
    async with slack_rig.open_office(town) as office, office.serving():
        slack = office.slack
        slack.limits.scale = math.inf
        slack.out.times.retry_seconds = (0.0, 0.05, 0.1)
        asked = []
        for number in range(MESSAGES):
            for event in ("message", "app_mention"):
                slack.mishap(
                    event,
                    chance.choice(
                        [
                            Mishap(),
                            Mishap(),
                            Mishap(duplicate=True),
                            Mishap(deaf=True),
                            Mishap(after_next=True),
                        ]
                    ),
                )
            slack.behave(
                "chat.postMessage",
                chance.choice(
                    [
                        SlackBad(),
                        SlackBad(),
                        SlackBad(status=503),
                        SlackBad(answer_status=500),
                        SlackBad(drop=True),
                        SlackBad(drop_answer=True),
                        SlackBad(throttle_seconds=1),
                        SlackBad(wrong=b"<html>"),
                    ]
                ),
            )
            if number % 40 == 20:
                await slack.out.sockets.refresh()
            asked.append(office.asks(f"!{words(number)}"))
            await asyncio.sleep(chance.random() / 50)
        await answer_all(town)
        await until_sent(town)
        said = await town.rows("SELECT text FROM delivery WHERE prompt_id IS NOT NULL ORDER BY 1")
        assert said == [(words(number),) for number in range(MESSAGES)]
        for number, message in enumerate(asked):
            assert [one.text for one in office.ours(message)] == [f"heard {words(number)}"]


async def test_answered_once_in_discord_whatever_is_doubled_late_or_broken(town, chance):
    async with discord_rig.open_office(town) as office, office.serving():
        await office.ready()
        fake = office.fake
        asked = []
        for number in range(MESSAGES):
            fake.event("MESSAGE_CREATE", BadEvent(times=chance.choice([1, 1, 1, 2])))
            fake.behave(
                POST,
                chance.choice(
                    [
                        DiscordBad(),
                        DiscordBad(),
                        DiscordBad(status=503),
                        DiscordBad(status_after=503),
                        DiscordBad(drop=True),
                        DiscordBad(drop_answer=True),
                    ]
                ),
            )
            if number % 40 == 20:
                fake.gateway.drop()
            asked.append(office.asks(f"!{words(number)}"))
            await asyncio.sleep(chance.random() / 50)
        await answer_all(town)
        await until_sent(town)
        said = await town.rows("SELECT text FROM delivery WHERE prompt_id IS NOT NULL ORDER BY 1")
        assert said == [(words(number),) for number in range(MESSAGES)]
        for number, message in enumerate(asked):
            texts = [one.text for one in office.ours(message.thread)]
            assert texts == [f"heard {words(number)}"]
