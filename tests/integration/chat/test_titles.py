"""A session's title: made of its first prompt, changed anywhere, set where threads have names."""

import asyncio

import pytest
from sqlalchemy import text

from adapters.chat.incoming import Author, Renamed
from bot.errors import Refused, TooLarge
from bot.work.control import Actor
from bot.work.titling import give_title
from tests.integration.chat import discord_rig
from tests.integration.chat.conftest import SPOT
from tests.support.shift import Shift


@pytest.fixture
async def discord(town):
    async with discord_rig.open_office(town) as office:
        yield office


async def called(town) -> str:
    return await town.value("SELECT title FROM session")


async def give(town, title: str) -> str:
    async with town.database.begin() as tx:
        session = await tx.scalar(text("SELECT id FROM session"))
        return await give_title(tx, session, Actor(id=town.people["Ann"], name="Ann"), title)


async def until_called(town, title: str) -> None:
    async with asyncio.timeout(100):
        while await called(town) != title:
            await asyncio.sleep(0.05)


async def titled(town) -> list[tuple[str, str]]:
    """Who called it what, as it is kept."""
    found = await town.rows(
        "SELECT body ->> 'name' AS name, body ->> 'title' AS title FROM turn_event"
        " WHERE kind = 'session.titled' ORDER BY number"
    )
    return [tuple(row) for row in found]


async def test_a_discord_thread_begins_with_the_title_and_follows_it(discord, places):
    async with discord.serving(), Shift(discord.town, places, "w"):
        await discord.ready()
        asked = discord.asks("echo **fix** `echo this` thing")
        await discord.answered(asked, "Done")
        assert asked.thread.name == await called(discord.town) == "echo fix echo this thing"
        assert "“Other name”" in await give(discord.town, " Other\n name ")
        await discord.fake.until(lambda: asked.thread.name == "Other name")
    assert await titled(discord.town) == [("Ann", "Other name")]


async def test_what_people_call_a_discord_thread_becomes_the_title_and_ours_does_not_come_back(
    discord, places
):
    town = discord.town
    async with discord.serving(), Shift(town, places, "w"):
        await discord.ready()
        asked = discord.asks("!true")
        await discord.answered(asked, "Done")
        await give(town, "ours")
        await discord.fake.until(lambda: asked.thread.name == "ours")
        discord.bo.renames(asked.thread, "theirs")
        await until_called(town, "theirs")
        discord.bo.renames(asked.thread, "theirs again")
        await until_called(town, "theirs again")
        discord.bo.renames(asked.thread, "theirs")
        await until_called(town, "theirs")
    assert await titled(town) == [
        ("Ann", "ours"),
        ("Somebody on Discord", "theirs"),
        ("Somebody on Discord", "theirs again"),
        ("Somebody on Discord", "theirs"),
    ]


async def test_discord_is_told_a_third_title_only_when_it_bears_one_and_then_the_last(
    discord, places
):
    town = discord.town
    async with discord.serving(), Shift(town, places, "w"):
        await discord.ready()
        asked = discord.asks("!true")
        await discord.answered(asked, "Done")
        discord.fake.rates.scale = 1.0
        for title in ("one", "two"):
            await give(town, title)
            await discord.fake.until(lambda title=title: asked.thread.name == title)
        for title in ("three", "four"):
            await give(town, title)
            async with asyncio.timeout(100):
                while await town.value(
                    "SELECT body <> :title OR due_at < now() + interval '9 min' FROM reply"
                    " WHERE kind = 'title'",
                    title=title,
                ):
                    await asyncio.sleep(0.05)
        assert asked.thread.name == "two"
        # Ten minutes later, for both.
        discord.fake.clock.advance(601)
        await town.rows("UPDATE bucket SET tokens = 1 WHERE method = 'title' RETURNING method")
        await town.rows("UPDATE reply SET due_at = now() WHERE kind = 'title' RETURNING id")
        await discord.fake.until(lambda: asked.thread.name == "four")
    assert discord.fake.rates.throttled == []


@pytest.mark.parametrize("standing", ["guest", "stranger", "bot"])
async def test_only_members_rename_where_the_surface_says_who_does(room, town, standing):
    await room.say("!true")
    author = Author(account="T", id="x", name="X", standing=standing)
    await room.chats.hear(Renamed(spot=SPOT, author=author, title="taken"))
    assert await called(town) == "true"


async def test_a_name_is_taken_over_once_and_cut(room, town):
    await room.say("!true")
    author = Author(account="T", id="x", name="X")
    for _ in range(2):
        await room.chats.hear(Renamed(spot=SPOT, author=author, title="y" * 300))
    assert await titled(town) == [("X", "y" * 100)]
    await room.chats.hear(Renamed(spot=SPOT, author=author, title=" \u200b "))
    assert await called(town) == "y" * 100


async def test_a_title_has_words_and_an_end(town):
    await town.say("!true")
    with pytest.raises(Refused):
        await give(town, " \n ")
    with pytest.raises(TooLarge):
        await give(town, "x" * 101)
    assert await give(town, "true") == "It is called that already."
    assert await titled(town) == []
