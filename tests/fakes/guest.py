"""Starts the guest program on this host and speaks to it without a machine around it."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vmpool.channel import Channel, open_machine
from vmpool.errors import MachineBusy
from vmpool.jobs import JobConnection
from vmpool.login import Inside
from vmpool.ssh import AGENT, CONTROL, Authority

PROGRAM = Path(__file__).with_name("guest_process.py")


class HostedGuest:
    """A running guest program; everything it made is gone when the context ends."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes] | None = None) -> None:
        """`process`: of who started it here."""
        self.directory = directory
        self.process = process

    @property
    def inside(self) -> Inside:
        run = self.directory / "run"
        return Inside(
            job_server=str(run / "guest.sock"),
            ssh_server=str(run / "ssh.sock"),
            users={CONTROL: me(), AGENT: me()},
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a job needs so that `ona-ask` finds this guest."""
        return {"ONA_JOB_SOCKET": str(self.directory / "run" / "job.sock")}

    @property
    def jobs_directory(self) -> Path:
        """Where it keeps its jobs."""
        return self.directory / "state" / "jobs"

    async def connect(self) -> socket.socket:
        """The stream, as a driver opens it."""
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, str(self.directory / "channel.sock"))
        except OSError as error:
            sock.close()
            raise MachineBusy(str(error)) from error
        return sock

    async def job_connection(self) -> JobConnection:
        """The job server without SSH in between."""
        reader, writer = await asyncio.open_unix_connection(self.inside.job_server)
        return JobConnection(reader, writer)  # type: ignore[arg-type]

    async def open(self, authority: Authority, *, token: int = 1, generation: int = 1) -> Channel:
        return await open_machine(
            self.connect,
            machine_id="m-test",
            token=token,
            generation=generation,
            authority=authority,
            deadline_seconds=30,
            inside=self.inside,
        )


def me() -> str:
    """The user of this process."""
    return pwd.getpwuid(os.getuid()).pw_name


@contextmanager
def hosted_guest(*, generation: int = 0) -> Iterator[HostedGuest]:
    """Run it in a directory of its own, short enough for socket paths.

    :param generation: what a clone's memory says that it was last told
    """
    directory = Path(tempfile.mkdtemp(prefix="ona-guest-"))
    try:
        with restarted(directory, generation=generation) as guest:
            yield guest
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def restarted(directory: Path, *, generation: int = 0) -> Iterator[HostedGuest]:
    """Run it over what an earlier one left in this directory."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(PROGRAM), str(directory), str(generation)],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield HostedGuest(directory, process)
    finally:
        for pid in children_of(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def children_of(pid: int) -> list[int]:
    """Its descendants, the farthest last; they were re-parented to it if their parent ended."""
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    found = [int(word) for word in words]
    return [*found, *(far for near in found for far in children_of(near))]
