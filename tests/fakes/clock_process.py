"""A process that does nothing but keep the clock; tests kill and freeze it.

Run as `python -m tests.fakes.clock_process URL OWNER`.
"""

import asyncio
import ctypes
import signal
import sys

from bot.store.database import Database
from bot.store.ids import new_id
from scheduler.clock import LEASE_SECONDS, Clock
from scheduler.leader import Leader

PR_SET_PDEATHSIG = 1


async def keep(url: str, owner: str) -> None:
    leader = Leader(name="schedules", owner=owner, seconds=LEASE_SECONDS)
    await Clock(Database(url).begin, leader, new_id=new_id).run(asyncio.Event())


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    asyncio.run(keep(*sys.argv[1:]))
