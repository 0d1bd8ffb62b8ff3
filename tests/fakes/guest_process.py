"""The guest program on this host, as a process that owns nothing: for tests of what it does.

Run as `python -I -S guest_process.py DIRECTORY [GENERATION]`, the latter what a clone's memory says
that it was last told. The host's stream is the socket `channel.sock`
in the directory, which like a virtio port has one client at a time and keeps what was written
while nobody listened.
"""

import ctypes
import os
import pwd
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from vmpool.guest import login
from vmpool.guest.guest import Guest
from vmpool.guest.loop import READ, WRITE, Loop
from vmpool.guest.port import OUTPUT_BYTES_MAX, Port
from vmpool.guest.settings import Settings
from vmpool.guest.stream import accept, listen

PR_SET_CHILD_SUBREAPER = 36


class UnixPort(Port):
    """A port whose host connects to a unix socket, and which keeps what nobody read."""

    def __init__(self, loop: Loop, path: str) -> None:
        super().__init__()
        self._loop = loop
        self._client: socket.socket | None = None
        self._waiting = bytearray()
        self._server = listen(path, mode=0o600)
        loop.watch(self._server.fileno(), READ, lambda _mask: self._accept())

    @property
    def congested(self) -> bool:
        return len(self._waiting) >= OUTPUT_BYTES_MAX

    def send(self, data: bytes) -> None:
        self._waiting += data
        self._write()

    def _accept(self) -> None:
        client = accept(self._server)
        if client is None:
            return
        if self._client is not None and self._hung_up():
            self._gone()
        if self._client is not None:
            client.close()
            return
        client.setblocking(False)
        self._client = client
        self._reading = True
        self._loop.watch(client.fileno(), READ, self._event)
        self._write()

    def _hung_up(self) -> bool:
        """Whether the host's end is closed, though that event comes after this one."""
        assert self._client is not None
        try:
            return self._client.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _event(self, mask: int) -> None:
        if mask & WRITE:
            was_congested = self.congested
            self._write()
            if was_congested and not self.congested:
                self.on_drained()
        if mask & ~WRITE and self._client is not None:
            try:
                data = self._client.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                self.on_data(data)
            else:
                self._gone()

    def _gone(self) -> None:
        if self._client is not None:
            self._loop.unwatch(self._client.fileno())
            self._client.close()
            self._client = None
            self.on_lost()

    def _write(self) -> None:
        if self._client is None:
            return
        try:
            while self._waiting:
                count = self._client.send(self._waiting)
                del self._waiting[:count]
        except BlockingIOError:
            pass
        except OSError:
            self._gone()
            return
        self._arm()

    def _arm(self) -> None:
        if self._client is not None:
            mask = (READ if self._reading else 0) | (WRITE if self._waiting else 0)
            self._loop.change(self._client.fileno(), mask)


def move_home(home: str) -> None:
    """Give users an empty home: what the one on this host has for its shells is not the guest's."""
    os.makedirs(home, exist_ok=True)
    found = pwd.getpwnam

    def getpwnam(name: str) -> pwd.struct_passwd:
        fields = list(found(name))
        fields[5] = home
        return pwd.struct_passwd(fields)

    pwd.getpwnam = getpwnam
    # sshd asks the host itself where a user's home is; what it is told to set goes over that.
    configured = login.sshd_config
    login.sshd_config = lambda settings: f"SetEnv HOME={home}\n{configured(settings)}"


def main(directory: str, generation: str = "0") -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    settings = Settings(
        run_directory=os.path.join(directory, "run"),
        state_directory=os.path.join(directory, "state"),
        owns_machine=False,
    )
    settings.cgroup_root = None
    move_home(os.path.join(directory, "home"))
    settings.control_user = settings.agent_user = pwd.getpwuid(os.getuid()).pw_name
    settings.login_end_seconds = 0.5
    loop = Loop()
    guest = Guest(loop, settings)
    guest.handshake.generation = int(generation)
    guest.listen(UnixPort(loop, os.path.join(directory, "channel.sock")))
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
