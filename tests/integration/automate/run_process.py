"""What `ona serve` does about runs, as a process of its own that kills itself at a step.

Run as `python -m tests.integration.automate.run_process URL CHAT STEP`; step 0 never comes.
"""

import asyncio
import ctypes
import os
import signal
import sys

from bot.automate.runs.beginning import Beginning
from bot.automate.runs.repositories import KnownRepositories
from bot.automate.triggers.taking import Taking
from bot.conversation.outbox import Outbox
from tests.fakes.clock_process import PR_SET_PDEATHSIG
from tests.fakes.mortal_database import End, Killed, MortalDatabase
from tests.integration.automate.rig import Office, reporting

POLL_SECONDS = 0.1


class Doomed(MortalDatabase):
    """Takes the whole process with it."""

    def _step(self) -> None:
        try:
            super()._step()
        except Killed:
            os.kill(os.getpid(), signal.SIGKILL)


async def serve(url: str, chat: str, at: str) -> None:
    """Take events, let runs go on and post, until the step comes."""
    database, office = Doomed(url, at=int(at), end=End.KILLED), Office(chat)
    beginning = Beginning(database, KnownRepositories({}))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(Taking(database, beginning, poll_seconds=POLL_SECONDS).run(stop))
        group.create_task(reporting(database, office).run(stop))
        outbox = Outbox(database, {"slack": office}, sender="s", poll_seconds=POLL_SECONDS)
        group.create_task(outbox.run(stop))


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    asyncio.run(serve(*sys.argv[1:]))
