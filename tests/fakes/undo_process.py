"""A worker process that takes the last turn of a session back in a machine that is this host.

Run as `python undo_process.py URL HOST_ID OWNER LEASE_SECONDS ROOT`; a git in the way of PATH tells
its test when to kill it.
"""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from bot.store.blobs import DirectoryBlobs
from bot.store.database import Database
from bot.work.checkpoint import Checkpoints
from bot.work.undoing import Undoing
from bot.work.work_queue import WorkQueue
from tests.fakes.local_machine import LocalMachine

KIB = 1024


async def main(url: str, host_id: str, owner: str, lease_seconds: str, root: str) -> None:
    database = Database(url)
    queue = WorkQueue(
        database, owner=owner, host_id=UUID(host_id), lease_seconds=float(lease_seconds)
    )
    lease = await queue.claim()
    assert lease is not None
    turn = (await queue.look(lease)).turn or await queue.begin_turn(lease, None)
    assert turn is not None
    checkpoints = Checkpoints(
        database,
        DirectoryBlobs(Path(root) / "blobs"),
        bytes_max=1024 * KIB,
        inline_bytes_max=64 * KIB,
        file_bytes_max=512 * KIB,
    )
    machine = LocalMachine(Path(root) / "first")
    directory = str(machine.directory)
    await Undoing(database, checkpoints).undo(lease, turn, machine, directory=directory)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
