"""All parts together: whose turn it is on the port, and what a word of the host sets in motion.

words ──ssh──▶ relaying ──host gone, or sshd ended──▶ words
  └─freeze─▶ words: logins ended, written back, jobs stand still; then the host takes the memory
"""

import grp
import os
import traceback
from collections.abc import Callable
from typing import Any

from vmpool.guest import cgroup, thaw
from vmpool.guest.handshake import Handshake
from vmpool.guest.jobs import Jobs
from vmpool.guest.login import Logins
from vmpool.guest.loop import Loop, report
from vmpool.guest.port import Port
from vmpool.guest.questions import Questions
from vmpool.guest.relay import Relay
from vmpool.guest.server import Server
from vmpool.guest.settings import Settings

BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Guest:
    """The program: made once, then everything happens in the loop."""

    def __init__(self, loop: Loop, settings: Settings) -> None:
        self._loop = loop
        self._settings = settings
        self._port: Port | None = None
        self._relay: Relay | None = None
        os.makedirs(settings.run_directory, mode=0o755, exist_ok=True)
        if settings.cgroup_root is not None:
            cgroup.prepare(settings.cgroup_root, settings.memory_reserve_bytes)
        group = control_group(settings)
        self._jobs = Jobs(loop, settings)
        self._server = Server(loop, settings, self._jobs, group)
        self._questions = Questions(loop, settings, self._jobs)
        self._logins = Logins(loop, settings, group)
        with open(BOOT_ID, encoding="ascii") as file:
            boot_id = file.read().strip()
        self.handshake = Handshake(self, self._send, boot_id, settings.line_bytes_max)

    def listen(self, port: Port) -> None:
        """Serve the host on this port."""
        self._port = port
        port.on_data = self._on_data
        port.on_lost = self._on_lost

    def thaw(self, word: dict[str, Any]) -> None:
        """Make the machine new: clock, entropy, identity; only then anything goes on."""
        thaw.thaw(word, self._settings)
        self._jobs.thaw()
        self._logins.open = True

    def ssh(self) -> None:
        """Give the port to a new sshd."""
        assert self._port is not None
        self._relay = Relay(
            self._loop,
            self._port,
            self._logins,
            self._settings.login_end_seconds,
            self._on_relay_ended,
        )

    def freeze(self, done: Callable[[], None]) -> None:
        """End logins and connections, forget the identity, write back, let all stand still."""
        self._server.hang_up()

        def at_rest() -> None:
            thaw.drop_identity(self._settings)
            thaw.rest(self._settings)
            # Last: what is written back may lie in a file system that a job serves.
            self._logins.open = False
            self._jobs.freeze()
            done()

        self._logins.end_all(at_rest)

    @property
    def token(self) -> int:
        """The highest lease token heard of, over the port or over a connection."""
        return self._server.token

    def newer_token(self, token: int) -> None:
        """Whoever was here before has lost the lease: nothing of theirs goes on."""
        self._server.token = token
        self._server.hang_up()
        self._logins.end_all(lambda: None)

    def _send(self, data: bytes) -> None:
        if self._port is not None:
            self._port.send(data)

    def _on_data(self, data: bytes) -> None:
        try:
            if self._relay is not None:
                self._relay.feed(data)
            else:
                self.handshake.feed(data)
        except Exception:
            # The port is the only way in: a bug on it may cost a connection, never the port.
            report(traceback.format_exc())
            self._on_lost()

    def _on_lost(self) -> None:
        self.handshake.reset()
        if self._relay is not None:
            self._relay.close()

    def _on_relay_ended(self) -> None:
        self._relay = None
        self.handshake.reset()
        if self._port is not None:
            self._port.resume()


def control_group(settings: Settings) -> int | None:
    """The group that may reach our sockets; None when they are for ourselves only."""
    if not settings.owns_machine:
        return None
    return grp.getgrnam(settings.control_user).gr_gid
