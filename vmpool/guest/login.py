"""sshd per connection: its configuration, and the processes we started for logins."""

import contextlib
import os
import signal
import socket
from collections.abc import Callable

from vmpool.guest import cgroup
from vmpool.guest.loop import READ, Loop, report
from vmpool.guest.settings import Settings
from vmpool.guest.spawn import PATH, Cannot, spawn, way_out
from vmpool.guest.stream import accept, listen

GATEWAY_ADDRESSES = ("172.16.0.1", "198.18.*", "198.19.*")
"""As vmpool.network.slot has them: the gateway itself, and the addresses that it gives to names."""


def sshd_config(settings: Settings) -> str:
    """What a login may do. The agent's block comes first: of two that match, the first counts.

    sshd refuses forwards to sockets wherever TCP forwards are off, so the control login has both.
    It may also listen where the gateway is looked for, which takes a machine without a card.
    """
    run = settings.run_path
    set_env = " ".join(f"{name}={value}" for name, value in way_out().items())
    return f"""\
HostKey {run("host_key")}
HostCertificate {run("host_key-cert.pub")}
TrustedUserCAKeys {run("user_ca.pub")}
AuthorizedPrincipalsFile {run("principals")}/%u
AuthorizedKeysFile none
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowUsers {settings.control_user} {settings.agent_user} root
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PidFile none
LogLevel ERROR
LoginGraceTime 60
MaxSessions 200
Compression no
X11Forwarding no
AllowAgentForwarding no
PermitTunnel no
GatewayPorts no
PermitUserEnvironment no
PermitUserRC no
PrintMotd no
PrintLastLog no
AcceptEnv LANG LC_* TERM COLORTERM
{f"SetEnv {set_env}" if set_env else ""}
Subsystem sftp internal-sftp
AllowTcpForwarding no
AllowStreamLocalForwarding no
Match User {settings.agent_user}
    AllowTcpForwarding local
    AllowStreamLocalForwarding local
    PermitTTY yes
    ForceCommand none
Match User {settings.control_user}
    AllowTcpForwarding yes
    GatewayPorts clientspecified
    PermitListen {" ".join(f"{address}:*" for address in GATEWAY_ADDRESSES)}
    AllowStreamLocalForwarding local
    PermitTTY no
    ForceCommand /usr/sbin/nologin
"""


class Logins:
    """Starts one `sshd -i` per connection and ends them.

    sshd's own processes share the session we start them in; what people run through them does
    not, so ending a login never ends what it left running.
    """

    def __init__(self, loop: Loop, settings: Settings, group: int | None) -> None:
        self._loop = loop
        self._settings = settings
        self._pids: dict[int, Callable[[], None]] = {}
        self._idle: list[Callable[[], None]] = []
        root = settings.cgroup_root
        self._members = cgroup.ProcessGroup() if root is None else cgroup.of_logins(root)
        self.open = True
        """Not while all of them stand still: to start one we step into their cgroup."""
        self._config = settings.run_path("sshd_config")
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(sshd_config(settings))
        if os.getuid() == 0:
            os.makedirs(settings.sshd_empty_directory, mode=0o755, exist_ok=True)
        mode = 0o660 if group is not None else 0o600
        self._socket = listen(settings.run_path("ssh.sock"), mode=mode, group=group)
        loop.watch(self._socket.fileno(), READ, lambda _mask: self._accept())

    def start(self, sock: socket.socket, ended: Callable[[], None]) -> int:
        """Serve SSH on this socket, which is ours to close after. :raises Cannot: no sshd."""
        log = os.open(os.devnull, os.O_RDWR) if not self._settings.owns_machine else 2
        try:
            pid = spawn(
                [self._settings.sshd, "-i", "-e", "-f", self._config],
                env={"PATH": PATH},
                cwd="/",
                user=None,
                stdin=sock.fileno(),
                stdout=sock.fileno(),
                stderr=log,
                within=self._members.entered(),
            )
        finally:
            if log > 2:
                os.close(log)
        self._pids[pid] = ended
        self._loop.child(pid, lambda _status: self._ended(pid))
        return pid

    def end(self, pid: int) -> None:
        """Kill one login now; idempotent."""
        if pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def end_all(self, done: Callable[[], None]) -> None:
        """Kill every login; `done` when none is left."""
        for pid in self._pids:
            self.end(pid)
        if self._pids:
            self._idle.append(done)
        else:
            done()

    def _ended(self, pid: int) -> None:
        # The unprivileged half of sshd may outlive its monitor.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        self._pids.pop(pid)()
        if not self._pids:
            waiting, self._idle = self._idle, []
            for done in waiting:
                done()

    def _accept(self) -> None:
        sock = accept(self._socket)
        if sock is None:
            return
        with sock:
            if not self.open or len(self._pids) >= self._settings.logins_max:
                return
            try:
                self.start(sock, lambda: None)
            except Cannot as error:
                report(f"no login: {error}")
