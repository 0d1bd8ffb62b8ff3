"""A picture of a preview, by a real Chromium: from a machine into the thread of its session."""

import asyncio
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.config import Settings
from bot.work.agent_previews import make_preview
from bot.work.running import Running
from tests.e2e.test_web_pages import CHROMIUM
from tests.integration.conftest import guest, places, town
from tests.support.gateway import LOOPBACK
from tests.support.previewed_app import previewed_app
from tests.support.tools import Desk, desk
from vmpool.guest import picture
from vmpool.network.gateway.ports import Identity
from vmpool.network.gateway.preview_route import PreviewRoute

pytestmark = pytest.mark.browser

__all__ = ["guest", "places", "town"]

TOOL = Path(picture.__file__).with_name("preview.py")


@dataclass
class Machine:
    """Runs `ona-preview` as a program in the desk's machine does."""

    at: Desk
    browser: str

    def __post_init__(self) -> None:
        database = self.at.town.database
        running = Running(database)

        async def make(who: Identity, port: int) -> str:
            return await make_preview(
                Settings(port=8484), database, await running.turn_of(who), port
            )

        self.at.at.routes = (*self.at.at.routes, PreviewRoute(make=make))

    async def shows(self, *arguments: str) -> tuple[int, str, str]:
        environment = {
            "ONA_GATEWAY": f"{LOOPBACK}:{self.at.at.web}",
            "PATH": os.defpath,
            "HOME": "/nonexistent",
            picture.NAMED: self.browser,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-IS", str(TOOL), *arguments),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode().strip(), err.decode()


async def test_a_picture_of_a_preview_goes_into_the_thread(town, places, tmp_path):
    async with desk(town, places, tmp_path) as at, previewed_app() as app:
        machine = Machine(at, CHROMIUM)
        status, address, err = await machine.shows(str(app.port), "--picture")
        assert status == 0, err
        assert ".preview.localhost:8484/" in address
        # A page that never ends to load is taken as it is.
        status, _, err = await machine.shows(str(app.port), "--picture", "/events")
        assert status == 0, err
        whole, stream = await at.events("picture")
        calls = await at.events("tool.called")
    assert (whole["text"], whole["media_type"]) == (f"Preview of port {app.port}", "image/png")
    assert stream["text"] == f"Preview of port {app.port}: /events"
    assert [(one["tool"], one["outcome"]) for one in calls] == [("post_picture", "done")] * 2
    data = await town.value("SELECT data FROM picture WHERE id = :p", p=whole["picture"])
    assert struct.unpack(">II", data[16:24]) == (picture.WIDTH_PIXELS, picture.HEIGHT_PIXELS)
    assert app.heads[0]["host"] == f"localhost:{app.port}"


async def test_what_shows_nothing_is_no_picture_and_the_address_is_said_all_the_same(
    town, places, tmp_path
):
    async with previewed_app() as app:
        gone = str(app.port)
    async with desk(town, places, tmp_path) as at:
        status, address, err = await Machine(at, CHROMIUM).shows(gone, "--picture")
        assert (status, ".preview.localhost:8484/" in address) == (1, True)
        assert f"no picture: nothing listens on port {gone}" in err
        assert await at.events("picture") == []
