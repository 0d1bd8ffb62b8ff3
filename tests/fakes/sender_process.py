"""Forks senders that tests kill and stop.

Each line on standard input makes one and is answered by its process id; it is a JSON list: how,
database, chat, lease and send seconds. `stops`: it stops itself right before its first post looks
at its deadline, as a process does that loses the processor there.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys

from bot.conversation.outbox import Outbox
from bot.store.database import Database
from tests.fakes.chat import FakeChat

PR_SET_PDEATHSIG = 1
"""None outlives a run of the tests that was killed."""


async def send(url: str, chat: str, lease: float, seconds: float, *, stops: bool) -> None:
    left = ["post"] if stops else []

    def before_write(method: str) -> None:
        if method in left:
            left.remove(method)
            os.kill(os.getpid(), signal.SIGSTOP)

    port = FakeChat(chat, before_write=before_write)
    outbox = Outbox(
        Database(url),
        {"fake": port},
        sender=f"sender-{os.getpid()}",
        lease_seconds=lease,
        send_seconds=seconds,
        poll_seconds=0.2,
    )
    await outbox.run(asyncio.Event())


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        how, url, chat, lease, seconds = json.loads(line)
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            # Whatever a sender logs is no answer.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            asyncio.run(send(url, chat, float(lease), float(seconds), stops=how == "stops"))
        print(pid, flush=True)


if __name__ == "__main__":
    main()
