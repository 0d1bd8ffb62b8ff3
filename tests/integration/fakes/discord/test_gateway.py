"""The fake Discord's gateway as discord.py sees it."""

import asyncio
import json

import aiohttp
import discord
import pytest

from tests.fakes.discord import BadEvent


async def test_a_wrong_token_and_intents_that_are_not_switched_on_are_refused(town):
    town.app.privileged = 0
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await town.client()
    town.app.token = "another"
    client = await town.client(intents=discord.Intents.default())
    assert client.guilds[0].name == "town"
    async with discord.Client(intents=discord.Intents.none()) as nobody:
        with pytest.raises(discord.LoginFailure):
            await nobody.login("nonsense")


async def test_without_the_content_intent_only_what_mentions_us_is_readable(town):
    client = await town.client(intents=discord.Intents.default())
    town.ann.says(town.general, "secret", files={"a.txt": b"x"})
    town.ann.says(town.general, f"{client.user.mention} hello")
    town.ann.says(town.ann.direct(town.app), "hi")
    first, second, third = await town.heard(client, "message", 3)
    assert (first.content, first.attachments) == ("", [])
    assert second.content.endswith("hello")
    assert third.content == "hi"


async def test_what_was_missed_is_replayed_when_the_session_is_resumed(town):
    client = await town.client()
    town.fake.gateway.drop()
    town.ann.says(town.general, "while away")
    await town.heard(client, "resumed")
    assert client.texts() == ["while away"]
    town.fake.gateway.reconnect()
    await town.heard(client, "resumed", 2)
    town.fake.gateway.invalidate(resumable=True)
    await town.heard(client, "resumed", 3)
    assert town.fake.gateway.identified == 1


@pytest.mark.parametrize("how", ["forgotten", "invalid", "closed"])
async def test_a_session_that_is_gone_begins_anew_without_what_was_missed(town, how):
    client = await town.client()
    if how == "forgotten":
        town.fake.gateway.drop(resumable=False)
    elif how == "invalid":
        town.fake.gateway.invalidate()
    else:
        town.fake.gateway.close(4009, resumable=False)
    town.ann.says(town.general, "lost")
    await town.fake.until(lambda: town.fake.gateway.identified == 2)
    town.ann.says(town.general, "found")
    await town.heard(client, "message")
    assert client.texts() == ["found"]


async def test_two_sessions_of_a_bot_both_hear_everything(town):
    one, two = await town.client(), await town.client()
    town.ann.says(town.general, "both")
    await town.heard(one, "message")
    await town.heard(two, "message")


async def test_a_dead_connection_that_looks_alive_is_found_by_its_heartbeats(town):
    town.fake.gateway.heartbeat_seconds = 0.05
    client = await town.client()
    town.fake.gateway.deaf = True
    await town.heard(client, "disconnect")
    town.fake.gateway.deaf = False
    await town.heard(client, "resumed")


async def test_events_may_be_lost_doubled_held_back_or_cut_off(town):
    client = await town.client()
    held = asyncio.Event()
    bad = [BadEvent(lost=True), BadEvent(times=2), BadEvent(drop=True), BadEvent(wait=held)]
    town.fake.event("MESSAGE_CREATE", *bad)
    for text in ("lost", "twice", "cut"):
        town.ann.says(town.general, text)
    await town.heard(client, "message", 3)
    town.ann.says(town.general, "late")
    town.ann.says(town.general, "later")
    assert len(client.texts()) == 3
    held.set()
    await town.heard(client, "message", 5)
    assert client.texts() == ["twice", "twice", "cut", "late", "later"]


async def test_an_event_may_be_overtaken_by_the_next_one(town):
    client = await town.client()
    town.fake.event(
        "MESSAGE_CREATE", BadEvent(after_next=True), BadEvent(), BadEvent(after_next=True)
    )
    for text in ("slow", "fast", "last"):
        town.ann.says(town.general, text)
    await town.heard(client, "message", 2)
    town.fake.gateway.let_go()
    await town.heard(client, "message", 3)
    assert client.texts() == ["fast", "slow", "last"]


async def test_only_so_many_sessions_are_started_a_day(town):
    town.app.session_starts_max = 1
    client = await town.client()
    assert (await client.http.get_bot_gateway())[2]["remaining"] == 0


@pytest.mark.parametrize(
    ("query", "said", "code"),
    [
        ("?v=9&encoding=json", None, 4012),
        ("?v=10&encoding=json", "no json", 4002),
        ("?v=10&encoding=json", {"op": 99, "d": None}, 4001),
        ("?v=10&encoding=json", {"op": 8, "d": {}}, 4003),
        ("?v=10&encoding=json", {"op": 2, "d": {"token": "x"}}, 4004),
        ("?v=10&encoding=json", {"op": 2, "d": {"intents": 1 << 40}}, 4013),
        ("?v=10&encoding=json", {"op": 2, "d": {"intents": 0, "shard": [2, 2]}}, 4010),
    ],
)
async def test_whoever_breaks_the_protocol_is_told_how(town, query, said, code):
    url = town.fake.gateway_url + query
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        if isinstance(said, dict) and said["op"] == 2:
            said["d"] = {"token": town.app.token, **said["d"]}
        if said is not None:
            await socket.send_str(said if isinstance(said, str) else json.dumps(said))
        async for _ in socket:
            pass
        assert socket.close_code == code


async def test_too_many_payloads_in_a_minute_end_the_connection(town):
    url = town.fake.gateway_url + "?v=10&encoding=json"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        for _ in range(121):
            await socket.send_json({"op": 1, "d": None})
        async for _ in socket:
            pass
        assert socket.close_code == 4008
