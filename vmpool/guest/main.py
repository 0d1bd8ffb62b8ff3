"""Entry: `python3 -I -S .../vmpool/guest/main.py`, started by the initrd as PID 1."""

import os
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from vmpool.guest import init
from vmpool.guest.guest import Guest
from vmpool.guest.loop import Loop, report
from vmpool.guest.port import (
    ListeningPort,
    SerialPort,
    find_port,
    has_vsock,
    listen_on_vsock,
)
from vmpool.guest.settings import Settings

PORT_LOOK_SECONDS = 0.1
PORT_LOOKS_MAX = 300


def find_and_listen(guest: Guest, loop: Loop, settings: Settings, looks: int = 0) -> None:
    """Open the port once the kernel shows it; it may come after us."""
    path = find_port(settings.port_name)
    if path is not None:
        guest.listen(SerialPort(loop, os.open(path, os.O_RDWR | os.O_NONBLOCK)))
        report(f"listening on {path}")
    elif has_vsock():
        guest.listen(ListeningPort(loop, listen_on_vsock))
        report("listening on vsock")
    elif looks < PORT_LOOKS_MAX:
        loop.later(PORT_LOOK_SECONDS, lambda: find_and_listen(guest, loop, settings, looks + 1))
    else:
        report(f"the host gave this machine no port {settings.port_name}")


def main() -> None:
    """Bring the machine up and serve for as long as it lives."""
    init.begin()
    loop = Loop()
    settings = Settings()
    guest = Guest(loop, settings)
    init.grow_root(loop)
    find_and_listen(guest, loop, settings)
    loop.run()


if __name__ == "__main__":
    if os.getpid() != 1:
        # It mounts over /run and sets the kernel up; on any other machine that is vandalism.
        sys.exit("ona-guest: this is PID 1 of a machine and nothing else; not started")
    try:
        main()
    except BaseException:
        # The end of PID 1 is a kernel panic, which ends the machine: better than half of one.
        report(traceback.format_exc())
        raise
