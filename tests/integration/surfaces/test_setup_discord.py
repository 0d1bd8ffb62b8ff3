"""`ona setup discord`: the token is tried, kept, and never shown; the way into a server is."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from adapters.chat.discord.examining import PERMISSIONS
from tests.fakes.discord import FakeDiscord
from tests.integration.surfaces.terminal import ROOT, command
from tests.support import offline

POINTED = """
import offline_guard, os
offline_guard.install()
import discord.http
discord.http.Route.BASE = os.environ['FAKE_DISCORD']
"""
"""Run at the start of the process, in place of what guards it: discord.py has no setting for where
Discord is."""


@pytest.fixture
async def discord():
    async with FakeDiscord() as fake:
        yield fake


def pointed(fake: FakeDiscord, home: Path) -> dict[str, str]:
    site = home / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(POINTED)
    where = f"{site}{os.pathsep}{offline.path(ROOT)}"
    return {"PYTHONPATH": where, "FAKE_DISCORD": fake.api_url}


def kept(home: Path) -> dict[str, str]:
    return tomllib.loads((home / "ona.toml").read_text())["discord"]


async def test_a_token_is_tried_kept_and_not_shown_and_the_invitation_is(discord, tmp_path):
    app = discord.app("ona")
    app.public = False
    settings = pointed(discord, tmp_path)
    async with command("setup", "discord", home=tmp_path, **settings) as running:
        await running.until("Enter alone: leave it")
        running.type("wrong")
        # Asking anew throws away what was typed before.
        said = await running.until("Enter alone: leave it", times=2)
        running.type(app.token)
        assert await running.end() == 0, running.said
    assert "Message Content Intent" in said
    assert "Improper token" in said
    assert "It works: ona." in running.said
    assert "Note:" not in running.said
    assert kept(tmp_path) == {"token": app.token}
    assert f"client_id={app.id}&" in running.said
    (asked,) = re.findall(r"permissions=(\d+)", running.said)
    (told,) = re.findall(r"permissions (\d+): .*send messages in threads", running.said)
    assert int(asked) == int(told) == PERMISSIONS.value
    assert "scope=bot+applications.commands" in running.said
    for secret in (app.token, "wrong"):
        assert secret not in running.shown
    assert app.token not in running.said


async def test_an_intent_that_is_off_and_a_public_bot_are_told_and_the_token_is_kept(
    discord, tmp_path
):
    app = discord.app("ona")
    app.privileged = 0
    settings = pointed(discord, tmp_path)
    given = f"{app.token}\n"
    async with command("setup", "discord", home=tmp_path, given=given, **settings) as running:
        assert await running.end() == 0, running.said
    assert "Note: Message Content Intent is off" in running.said
    assert "Note: Public Bot is on" in running.said
    assert kept(tmp_path) == {"token": app.token}


async def test_a_wrong_token_of_a_program_ends_it_and_nothing_is_written(discord, tmp_path):
    settings = pointed(discord, tmp_path)
    async with command("setup", "discord", home=tmp_path, given="no\n", **settings) as running:
        assert await running.end() == 2
    assert "Nothing was written" in running.said
    assert "Traceback" not in running.said
    assert not (tmp_path / "ona.toml").exists()


async def test_enter_alone_leaves_everything_as_it_is(tmp_path):
    async with command("setup", "discord", home=tmp_path, given="\n") as running:
        assert await running.end() == 0
    assert "nothing is changed" in running.said
    assert not (tmp_path / "ona.toml").exists()


def test_the_page_names_the_permissions_that_are_asked_for():
    page = (ROOT / "docs" / "discord.md").read_text()
    assert f"({PERMISSIONS.value})" in page
