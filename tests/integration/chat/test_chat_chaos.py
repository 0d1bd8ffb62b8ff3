"""Invariant 1 on chat surfaces, whatever happens on the way in and on the way out.

So many messages are said while deliveries come twice, late, in another order and over connections
that break, and while who listens is killed; each is answered by a notice while the surface
throttles, breaks down before or after it acted, and drops answers, and while the sender is killed
before and after a post. Every message becomes one prompt, every notice is posted once.
ONA_TEST_CHAT_MESSAGES says how many, ONA_TEST_SEED repeats a run.
"""

import asyncio
import math
from functools import partial
from typing import Any

import pytest

from bot.conversation.audience import PUBLIC
from bot.conversation.outgoing import Times
from tests.fakes.discord import Bad as DiscordBad
from tests.fakes.discord import BadEvent
from tests.fakes.slack import Bad as SlackBad
from tests.fakes.slack import FakeSlack, Mishap
from tests.integration.chat import discord_rig, slack_rig
from tests.integration.chat.chaos import (
    MESSAGES,
    SECONDS_MAX,
    SEED,
    Killing,
    answer_all,
    assert_each_a_prompt,
    chance_of,
    mortal_listener,
    mortal_sender,
    until_sent,
    words,
)

POST = "POST /channels/{channel}/messages"
DISCORD_TIMES = Times(lease_seconds=4.0, send_seconds=3.0)
DISCORD_KILLED = 1 / 12
"""A post whose sender was killed comes again after a lease, and Discord knows it for two minutes
only. A kill hits all posts under way: with more kills, or longer leases, some of a thousand would
find no try in that time that ends, and be given up, as they are meant to."""
ACK_SECONDS = 60.0
"""Slack's own three seconds on a busy host; whoever is killed answers at once by their end."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS_MAX)]


def slack_of(office: slack_rig.Office) -> dict[str, Any]:
    """The sections of the settings that another process needs."""
    (app_token,) = office.slack.app.app_tokens
    tokens = {"bot_token": office.bot.token, "app_token": app_token}
    return {"slack": {**tokens, "api_url": office.slack.api_url}}


def discord_of(office: discord_rig.Office) -> dict[str, Any]:
    addresses = {"discord_api": office.fake.api_url, "discord_gateway": office.fake.gateway_url}
    return {"discord": {"token": office.app.token}, **addresses}


def retry(slack: FakeSlack) -> None:
    """Slack's next try comes after a minute, by when whoever was killed has a successor."""
    if slack.out.sockets.open:
        slack.out.retry_now()


async def test_answered_once_in_slack_whatever_is_lost_doubled_late_or_broken(town):
    chance = chance_of(SEED)
    async with (
        slack_rig.open_office(town) as office,
        mortal_sender(town.database.url, slack_of(office)) as mortal,
        mortal_listener(town, slack_of(office)) as listener,
    ):
        slack = office.slack
        slack.limits.scale = math.inf
        slack.out.times.ack_seconds = ACK_SECONDS
        killing = Killing(town, listener, chance, partial(retry, slack))
        await slack.until(lambda: slack.out.sockets.open)
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
                        SlackBad(received=mortal.kill),
                        SlackBad(received=mortal.kill, drop=True),
                        SlackBad(stored=mortal.kill),
                    ]
                ),
            )
            if number % 40 == 20:
                await slack.out.sockets.refresh()
            asked.append(office.asks(f"!{words(number)}"))
            await killing.said(number)
            await asyncio.sleep(chance.random() / 50)
        await killing.until_heard()
        await answer_all(town)
        await until_sent(town)
        await assert_each_a_prompt(town)
        assert mortal.kills > MESSAGES / 50
        assert listener.kills > MESSAGES / 50
        for number, message in enumerate(asked):
            assert [one.text for one in office.ours(message)] == [f"heard {words(number)}"]


async def test_answered_once_in_discord_whatever_is_doubled_late_or_broken(town):
    chance = chance_of(SEED)
    async with (
        discord_rig.open_office(town) as office,
        mortal_sender(town.database.url, discord_of(office), DISCORD_TIMES) as mortal,
        mortal_listener(town, discord_of(office)) as listener,
    ):
        await office.ready()
        fake = office.fake
        killing = Killing(town, listener, chance, fake.gateway.let_go)
        asked = []
        for number in range(MESSAGES):
            twice, overtaken = BadEvent(times=2), BadEvent(after_next=True)
            fake.event("MESSAGE_CREATE", chance.choice([BadEvent(), BadEvent(), twice, overtaken]))
            kills = chance.random() < DISCORD_KILLED
            fake.behave(
                POST,
                chance.choice(
                    [
                        DiscordBad(received=mortal.kill),
                        DiscordBad(received=mortal.kill, drop=True),
                        DiscordBad(stored=mortal.kill),
                    ]
                    if kills
                    else [
                        DiscordBad(),
                        DiscordBad(),
                        DiscordBad(status=503),
                        DiscordBad(status_after=503),
                        DiscordBad(drop=True),
                        DiscordBad(drop_answer=True),
                        DiscordBad(throttle_seconds=0.2),
                    ]
                ),
            )
            if number % 40 == 20:
                fake.gateway.drop()
            asked.append(office.asks(f"!{words(number)}"))
            await killing.said(number)
            await asyncio.sleep(chance.random() / 50)
        await killing.until_heard()
        await answer_all(town)
        await until_sent(town)
        await assert_each_a_prompt(town)
        assert mortal.kills
        assert listener.kills > MESSAGES / 50
        public = PUBLIC.format(project="demo")
        for number, message in enumerate(asked):
            texts = [one.text for one in office.ours(message.thread)]
            # One of them bears the line about who reads the channel, too.
            assert [one for one in texts if one != public] == [f"heard {words(number)}"]
