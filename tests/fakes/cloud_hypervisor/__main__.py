"""`python -m tests.fakes.cloud_hypervisor`: takes the real one's command line."""

import argparse
import asyncio
import os
import signal
import socket
import sys

from tests.fakes.cloud_hypervisor.http import Server
from tests.fakes.cloud_hypervisor.vmm import BUILD, Events, Vmm

WRONG_USAGE = 2


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="cloud-hypervisor")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--api-socket", default="")
    parser.add_argument("--event-monitor", default="")
    parser.add_argument("--seccomp", default="true")
    return parser.parse_args(arguments)


def listener_of(said: str) -> socket.socket:
    """The API's socket: inherited, or made at a path."""
    kind, _, where = said.partition("=")
    if kind == "fd":
        try:
            return socket.socket(fileno=int(where))
        except OSError:
            # The real one's server thread panics, and the process ends as if all were well.
            sys.exit(0)
    made = socket.socket(socket.AF_UNIX)
    try:
        made.bind(where)
    except OSError as error:
        print(f"API socket {where}: {error}", file=sys.stderr)
        sys.exit(1)
    made.listen(16)
    return made


def events_of(said: str) -> int | None:
    """Where events go: inherited, or made at a path."""
    kind, _, where = said.partition("=")
    if kind == "path":
        return os.open(where, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    return int(where) if kind == "fd" else None


async def serve(arguments: argparse.Namespace) -> int:
    """Serve until the machine or somebody ends it; the exit status."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    events = Events(events_of(arguments.event_monitor))
    vmm = Vmm(events, end)
    loop.add_signal_handler(signal.SIGTERM, vmm.terminate)
    await Server(listener_of(arguments.api_socket), vmm.handle).start()
    return await ended


def main() -> None:
    """Run it."""
    arguments = parse(sys.argv[1:])
    if arguments.version:
        print(f"cloud-hypervisor {BUILD}\nmigration protocol versions: 1")
        return
    if not arguments.api_socket:
        sys.exit(WRONG_USAGE)
    status = asyncio.run(serve(arguments))
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
