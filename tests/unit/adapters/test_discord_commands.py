"""What Discord is told of our commands, in the languages of its readers."""

from functools import partial

import discord
from discord import app_commands

from adapters.chat.discord.commands import Commands, Described, no_projects
from bot.surfaces import say


async def told(language: str) -> dict:
    """What is synced of each command, by its name."""
    tree = app_commands.CommandTree(discord.Client(intents=discord.Intents.none()))
    speak = partial(say, language)
    Commands(None, None, projects=no_projects, mention="ona", say=speak).add_to(tree)
    found = [*tree.get_commands(), *tree.get_commands(type=discord.AppCommandType.message)]
    made = [await one.get_translated_payload(tree, Described(speak)) for one in found]
    return {one["name"]: one for one in made}


async def test_commands_and_their_options_are_described_in_german_too():
    commands = await told("en")
    ask, listen = commands["ona"], commands["ona-channel"]
    assert ask["description"] == "Ask ona, or say a command such as stop"
    for described in (ask, listen, *ask["options"], *listen["options"]):
        translated = described["description_localizations"]
        assert set(translated) == {"de"}
        assert translated["de"] != described["description"]
        assert len(translated["de"]) <= 100


async def test_names_are_what_people_type_in_every_language():
    for command in (await told("de")).values():
        assert not command.get("name_localizations")
        for option in command.get("options", ()):
            assert not option.get("name_localizations")
