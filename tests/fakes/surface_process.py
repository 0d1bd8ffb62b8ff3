"""Forks senders of the installation's real surfaces, which tests kill.

Each line on standard input makes one and is answered by its process id; it is a JSON list: how,
database, surfaces, lease and send seconds. `surfaces` is JSON too: the sections of the settings by
name, and `discord_api`, where the API of Discord is. The surfaces' own limits are left out: how
often each may be asked is not what is tested.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
from dataclasses import replace

from discord.http import Route

from bot.config import Settings
from bot.conversation.outbox import Outbox
from bot.store.database import Database
from bot.surfaces import open_surfaces

PR_SET_PDEATHSIG = 1
"""None outlives a run of the tests that was killed."""


async def send(url: str, surfaces: str, lease: float, seconds: float) -> None:
    known = json.loads(surfaces)
    Route.BASE = known.pop("discord_api", Route.BASE)
    database, name = Database(url), f"sender-{os.getpid()}"
    async with open_surfaces(Settings(**known), database, owner=name) as opened:
        for port in opened.ports.values():
            port.limits = replace(port.limits, rates={})
        outbox = Outbox(
            database,
            opened.ports,
            sender=name,
            lease_seconds=lease,
            send_seconds=seconds,
            poll_seconds=0.2,
        )
        await outbox.run(asyncio.Event())


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        _, url, surfaces, lease, seconds = json.loads(line)
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            # Whatever a sender logs is no answer.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            asyncio.run(send(url, surfaces, float(lease), float(seconds)))
        print(pid, flush=True)


if __name__ == "__main__":
    main()
