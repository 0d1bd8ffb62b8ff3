"""The fake Discord's limits and bad days, as discord.py meets them."""

import asyncio

import aiohttp
import discord
import pytest

from tests.fakes.discord import Bad

POST = "POST /channels/{channel}/messages"
EDIT = "PATCH /channels/{channel}/messages/{message}"


async def test_discord_py_keeps_the_limit_of_a_route_and_both_count(town):
    client = await town.client()
    channel = client.get_channel(town.general.id)
    for number in range(12):
        await channel.send(str(number))
    assert town.fake.rates.throttled == []
    assert len(town.fake.requests(POST)) == 12


async def test_whoever_does_not_keep_it_is_throttled(town):
    one, two = await town.client(), await town.client()
    channels = [client.get_channel(town.general.id) for client in (one, two)]
    await asyncio.gather(*(channel.send("x") for channel in channels for _ in range(5)))
    assert town.fake.rates.throttled
    assert len(town.fake.rates.invalid) == len(town.fake.rates.throttled)
    assert len(town.ann.sees(town.general)) == 10


async def test_all_requests_together_are_limited(town):
    client = await town.client()
    town.fake.rates.global_per_second = 3
    town.fake.rates.throttled.clear()
    guild = client.guilds[0]
    await asyncio.gather(*(guild.fetch_member(town.ann.id) for _ in range(8)))
    assert town.fake.rates.throttled


async def test_edits_of_old_messages_are_limited_apart(town):
    client = await town.client()
    message = await client.get_channel(town.general.id).send("x")
    town.fake.clock.advance(3_601)
    town.fake.rates.scale = 0.05
    for number in range(6):
        await message.edit(content=str(number))
    assert len(town.fake.requests(EDIT)) > 6
    assert not town.fake.rates.invalid


async def test_bad_days_come_one_each(town):
    client = await town.client()
    channel = client.get_channel(town.general.id)
    wait = asyncio.Event()
    town.fake.behave(
        POST,
        Bad(throttle_seconds=0.01),
        Bad(wait=wait),
        Bad(drop=True),
        Bad(drop_answer=True),
        Bad(status=503),
        Bad(status_after=503),
    )
    sending = asyncio.create_task(channel.send("waits"))
    await town.fake.until(lambda: not len(town.fake.bad.requests[POST]) > 4)
    assert town.ann.texts(town.general) == []
    wait.set()
    await sending
    for text in ("dropped", "drops"):
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await channel.send(text)
    for text in ("refused", "fails"):
        with pytest.raises(discord.DiscordServerError):
            await channel.send(text)
    assert town.ann.texts(town.general) == ["waits", "drops", "fails"]


async def test_an_address_with_too_many_invalid_requests_is_shut_out_for_a_while(town):
    client = await town.client()
    town.fake.rates.invalid_max = 3
    secret = town.fake.channel(town.guild, "secret", private=True)
    for _ in range(3):
        with pytest.raises(discord.Forbidden):
            await client.fetch_channel(secret.id)
    with pytest.raises(discord.HTTPException) as refused:
        await client.fetch_channel(town.general.id)
    assert refused.value.status == 429
    town.fake.clock.advance(601)
    await client.fetch_channel(town.general.id)
