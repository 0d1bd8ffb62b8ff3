"""Forks processes of the installation's real surfaces, which tests kill.

Each line on standard input makes one and is answered by its process id; it is a JSON list: what it
does (`sends` or `listens`), the database, the surfaces, and more about how. `surfaces` and `more`
are JSON too. `surfaces` has the sections of the settings by name, and of Discord where its API and
its gateway are. How often each surface may be asked is not what is tested: those limits are left
out.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
from dataclasses import replace
from typing import Any

import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters.forge import polled
from bot.config import Settings
from bot.conversation.inbox import Inbox
from bot.conversation.outbox import Outbox
from bot.govern import rights
from bot.store.database import Database
from bot.store.ids import new_id
from bot.surfaces import open_surfaces
from tests.integration.chat.serving import serving
from tests.integration.conftest import Town

PR_SET_PDEATHSIG = 1
"""None outlives a run of the tests that was killed."""


async def send(database: Database, settings: Settings, more: dict[str, Any]) -> None:
    """Post what is written, as `ona serve` does."""
    name = f"sender-{os.getpid()}"
    async with open_surfaces(settings, database, owner=name) as opened:
        for port in opened.ports.values():
            port.limits = replace(port.limits, rates={})
        outbox = Outbox(database, opened.ports, sender=name, poll_seconds=0.2, **more)
        await outbox.run(asyncio.Event())


async def listen(database: Database, settings: Settings, more: dict[str, Any]) -> None:
    """Hear what is said, and write what is replied, as `ona serve` does.

    Behind the webhooks forges are asked so often as `more` says, and waited for as long.
    """
    polled.CATCH_UP_SECONDS = more["catch_up_seconds"]
    rights.ASK_SECONDS_MAX = more["ask_seconds_max"]
    inbox = Inbox(database, prompt_bytes_max=100_000)
    town = Town(database=database, inbox=inbox, host_id=new_id(), people={})

    async def hooked(url: str) -> None:
        """Whoever carries the webhooks knows the port."""

    async with serving(town, settings, hooked=hooked, port=more["port"], sends=False) as stop:
        await stop.wait()


def run(does: str, url: str, surfaces: str, more: str) -> None:
    known = json.loads(surfaces)
    Route.BASE = known.pop("discord_api", Route.BASE)
    if gateway := known.pop("discord_gateway", ""):
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
    work = {"sends": send, "listens": listen}[does]
    asyncio.run(work(Database(url), Settings(**known), json.loads(more)))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        words = json.loads(line)
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            # Whatever it logs is no answer.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            run(*words)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
