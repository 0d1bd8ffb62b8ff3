"""What `ona serve` does about what is due, as a process of its own; tests kill and freeze it.

Run as `python -m tests.fakes.firing_process URL - - OWNER LEASE_SECONDS`: what stands in the
middle is for workers, which are started in the same way.
"""

import asyncio
import ctypes
import signal
import sys

from bot.automate.reminders.firings import Firings
from bot.conversation.due import Due
from bot.conversation.inbox import Inbox
from bot.store.database import FIRINGS, SCHEDULES, Database, Listener
from bot.store.ids import new_id
from scheduler.clock import Clock
from scheduler.leader import Leader
from tests.fakes.clock_process import PR_SET_PDEATHSIG

POLL_SECONDS = 0.3


async def serve(url: str, _place: str, _host: str, owner: str, lease_seconds: str) -> None:
    """Lead if it can, and act on firings, until it is killed."""
    database, listener = Database(url, connections_max=6), Listener(url, SCHEDULES, FIRINGS)
    leader = Leader(name="schedules", owner=owner, seconds=float(lease_seconds))
    clock = Clock(
        database.begin,
        leader,
        new_id=new_id,
        on_fired=lambda: database.hint((FIRINGS, "")),
        poll_seconds=POLL_SECONDS,
    )
    listener.on(SCHEDULES, lambda _: clock.look.set())
    due = Due(database, Inbox(database, prompt_bytes_max=100_000))
    stop = asyncio.Event()
    print(f"begun {owner}", flush=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(listener.run())
        group.create_task(clock.run(stop))
        firings = Firings(database, due, listener=listener, poll_seconds=POLL_SECONDS)
        group.create_task(firings.run(stop))


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    asyncio.run(serve(*sys.argv[1:]))
