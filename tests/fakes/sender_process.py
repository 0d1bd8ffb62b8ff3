"""Forks senders that tests kill and stop: `sender_process.py DATABASE CHAT LEASE SEND`.

Each line on standard input makes one and is answered by its process id. `stops`: it stops itself
right before its first post looks at its deadline, as a process does that loses the processor there.
"""

import asyncio
import os
import signal
import sys

from bot.conversation.outbox import Outbox
from bot.store.database import Database
from tests.fakes.chat import FakeChat


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
    url, chat, lease, seconds = sys.argv[1:]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(send(url, chat, float(lease), float(seconds), stops=line == "stops\n"))
        print(pid, flush=True)


if __name__ == "__main__":
    main()
