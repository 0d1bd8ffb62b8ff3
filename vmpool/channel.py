"""The one channel into a machine: made by the handshake, then SSH for everything.

The first login is `ona`, which may only reach sockets of the guest program: its job server, and
the socket behind which it starts one more sshd per connection. Logins as `agent` and `root` are
nested in the first one through that socket, and made when they are first needed.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

import asyncssh

from vmpool.command import Completed, Source, execute
from vmpool.errors import MachineError, MachineLost, PortClosed
from vmpool.handshake import Connect, greet
from vmpool.job_words import entries, nonsense, number
from vmpool.jobs import (
    REQUEST_SECONDS_MAX,
    JobConnection,
    JobEvent,
    JobSpec,
    JobStatus,
    order_of,
    status_of,
)
from vmpool.login import (
    KEEPALIVE_SECONDS,
    LOGIN_SECONDS_MAX,
    OUR_IMAGE,
    Inside,
    Nested,
    end,
    log_in,
)
from vmpool.passing import passes
from vmpool.ssh import (
    AGENT,
    CLOCK_SKEW_SECONDS,
    CONTROL,
    HOST_SECONDS,
    Authority,
    HostIdentity,
)

INPUT_BYTES_MAX = 256 * 1024
FOLLOWING_MAX = 4
VISIT_WINDOW_BYTES = 256 * 1024
"""What a visitor's connection may have on its way that nobody has read."""

Stream = tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]


class Channel:
    """A machine that answered, was thawed and is logged in to.

    Every method raises MachineLost once the connection is gone, whatever became of the machine;
    jobs go on without us, and a new channel finds them by their ids and offsets.
    """

    def __init__(
        self,
        *,
        connect: Connect,
        machine_id: str,
        token: int,
        authority: Authority,
        boot: str,
        inside: Inside,
        host: HostIdentity,
    ) -> None:
        """Used by `open_machine`; `host` was signed just now."""
        self.machine_id = machine_id
        self.boot = boot
        """Changes with every boot, stays over hibernation."""
        self.lost = asyncio.Event()
        """Set when the SSH connection has ended, for whatever reason."""
        self._connect = connect
        self._token = token
        self._authority = authority
        self._inside = inside
        self._host = host
        self._certified = monotonic()
        """When the machine's certificate was signed."""
        self._certifying = asyncio.Lock()
        self._clock = _clock()
        """As it was when the machine's was set."""
        self._control: asyncssh.SSHClientConnection | None = None
        self._logins: dict[str, asyncssh.SSHClientConnection] = {}
        self._logging_in = asyncio.Lock()
        self._idle: list[JobConnection] = []
        self._following: dict[str, JobConnection] = {}

    # -- jobs -------------------------------------------------------------------------------

    async def start_job(self, spec: JobSpec) -> JobStatus:
        """Run a command under an id, once; a known id answers that job's status. Idempotent.

        A command that can't be run is an ended job with `failure`, not an error.

        :raises JobRefused: malformed, or no room in the machine
        """
        connection = await self._take()
        try:
            answer = await connection.request("start", follow=True, **order_of(spec))
        except BaseException:
            connection.close()
            raise
        if answer.get("following"):
            self._keep_following(spec.id, connection)
        else:
            self._idle.append(connection)
        return status_of(answer.get("status"))

    async def attach(
        self, job_id: str, *, stdout_offset: int = 0, stderr_offset: int = 0
    ) -> AsyncIterator[JobEvent]:
        """Follow a job from these offsets: its output, its open questions, at last its exit.

        May be given up and called again at any time. :raises JobRefused: unknown job
        """
        offsets = {"stdout_offset": stdout_offset, "stderr_offset": stderr_offset}
        begun = self._following.pop(job_id, None)
        if begun is not None and (stdout_offset or stderr_offset or not begun.usable):
            begun.close()
            begun = None
        async with self._connection(begun) as connection:
            events = connection.follow() if begun else connection.attach(job_id, offsets)
            async for event in events:
                yield event

    async def send_input(self, job_id: str, offset: int, data: bytes) -> int:
        """Feed standard input from this offset; answers up to where it was accepted.

        Bytes that were accepted before are skipped, so it may be repeated after a loss. Waits
        while the job doesn't read. Less than `offset + len(data)`: the job closed its input.

        :raises JobRefused: unknown job, or a gap before the offset
        """
        end = offset + len(data)
        accepted = offset
        while True:
            payload = data[accepted - offset : accepted - offset + INPUT_BYTES_MAX]
            answer = await self._request(
                "input", payload, seconds_max=None, job=job_id, offset=accepted
            )
            taken = number(answer.get("offset"))
            if taken >= end or not answer.get("open"):
                return min(taken, end)
            if taken <= accepted:
                # It waits while there is no room: asked like this it would be for ever.
                raise nonsense(answer)
            accepted = taken

    async def close_input(self, job_id: str) -> None:
        """End of input after what was accepted. Idempotent."""
        await self._request("close_input", job=job_id)

    async def answer(self, job_id: str, question_id: str, text: str) -> None:
        """Answer a question; the first answer counts. Idempotent.

        :raises JobRefused: it was never asked, or who asked is gone
        """
        await self._request("answer", job=job_id, question=question_id, text=text)

    async def stop_job(self, job_id: str, grace_seconds: float) -> JobStatus:
        """TERM to all processes of a job, its background ones too, KILL after the grace.

        Returns when none is left. Idempotent.
        """
        limit = grace_seconds + REQUEST_SECONDS_MAX
        answer = await self._request(
            "stop", seconds_max=limit, job=job_id, grace_seconds=grace_seconds
        )
        return status_of(answer.get("status"))

    async def job(self, job_id: str) -> JobStatus:
        """A job as it is now. :raises JobRefused: unknown"""
        return status_of((await self._request("status", job=job_id)).get("status"))

    async def jobs(self) -> list[JobStatus]:
        """Every job the machine keeps, oldest first."""
        return [status_of(said) for said in entries((await self._request("list")).get("jobs"))]

    def stand_still(self) -> None:
        """Ask for no sign of life from now on: the machine is about to be paused."""
        for login in self._all_logins():
            login.set_keepalive(0)

    async def raise_token(self, token: int) -> None:
        """Go on under a newer lease; the guest's clock is set, as it may have stood still.

        :raises StaleToken: a higher one was here
        """
        # The guest ends every connection but the one this comes on.
        for connection in [*self._idle[1:], *self._following.values()]:
            connection.close()
        del self._idle[1:]
        self._following.clear()
        await self._set_clock(token)
        for login in self._all_logins():
            login.set_keepalive(KEEPALIVE_SECONDS)

    async def _set_clock(self, token: int) -> None:
        """The machine's, by the host's; `token` is that of its lease from then on."""
        clock = _clock()
        await self._request("token", token=token, time=time.time())
        self._token, self._clock = token, clock

    # -- commands ---------------------------------------------------------------------------

    async def run(
        self,
        argv: list[str],
        *,
        stdin: Source = None,
        timeout_seconds: float,
        user: str = AGENT,
        output_bytes_max: int = 1 << 20,
        stdout: Any = None,
    ) -> Completed:
        """Run a command over SSH and wait for it: for short things of ours, not for turns.

        `argv` is passed word for word. `stdin` may be an async iterator for what is large;
        `stdout`, a binary file, takes all of the output, else `output_bytes_max` of it are kept.

        :raises MachineLost: the connection broke; the command may have run, or run on
        :raises TimeoutError: it took longer, and was killed
        """
        login = await self._login(user)
        return await execute(
            login,
            argv,
            stdin=stdin,
            timeout_seconds=timeout_seconds,
            output_bytes_max=output_bytes_max,
            stdout=stdout,
        )

    async def login(self, user: str = AGENT) -> asyncssh.SSHClientConnection:
        """The SSH connection as this user, for files, terminals and forwards."""
        return await self._login(user)

    # -- visits -----------------------------------------------------------------------------

    async def open_ssh(self) -> Stream:
        """Bytes to and from one more sshd of the machine, whose certificate is fresh.

        :raises NoSignature: nobody signs it now
        """
        await self._certify()
        return await self._open(self._inside.ssh_server, window=VISIT_WINDOW_BYTES)

    async def open_port(self, port: int) -> Stream:
        """A TCP connection to a port of the machine's own interface.

        :raises PortClosed: nothing listens there
        """
        login = await self._login(AGENT)
        try:
            # By name: development servers listen on either family.
            return await login.open_connection("localhost", port, window=VISIT_WINDOW_BYTES)
        except asyncssh.ChannelOpenError as error:
            if error.code == asyncssh.OPEN_CONNECT_FAILED:
                raise PortClosed(f"Nothing listens on port {port} in the machine.") from error
            raise MachineLost(f"The machine refuses port {port}: {error}.") from error
        except (OSError, asyncssh.Error) as error:
            raise MachineLost(f"The way to port {port} was lost: {error}.") from error

    async def listen(self, address: str, port: int, taken: Callable[[socket.socket], None]) -> None:
        """Listen at an address of the machine's own, for as long as this channel is open.

        :param taken: gets each connection, as a socket of ours that it closes
        :raises MachineLost: the machine lets nobody listen there, or the connection is gone
        """
        control = self._connected()
        try:
            await control.start_server(partial(passes, taken), address, port, encoding=None)
        except (OSError, asyncssh.Error) as error:
            raise MachineLost(
                f"The machine does not listen on {address}:{port}: {error}."
            ) from error

    async def _certify(self) -> None:
        """Have the machine's host key certified anew: a certificate ends minutes after a thaw.

        Once the host's clock was stepped, no certificate of before holds here, and none of now
        in the machine.
        """
        async with self._certifying:
            if abs(_clock() - self._clock) > CLOCK_SKEW_SECONDS / 2:
                await self._set_clock(self._token)
            elif monotonic() - self._certified < HOST_SECONDS / 2:
                return
            began = monotonic()
            certificate = await self._authority.certify(self.machine_id, self._host.private_key)
            await self._request("certificate", certificate=certificate)
            self._certified = began

    # -- the end ----------------------------------------------------------------------------

    async def freeze(self) -> None:
        """End SSH and let the guest get ready to rest; the channel is closed after.

        Its jobs stand still until the next `open_machine`.

        :raises MachineLost: the guest didn't; it may still run
        """
        await self.close()
        words = await greet(
            self._connect,
            machine_id=self.machine_id,
            token=self._token,
            deadline_seconds=LOGIN_SECONDS_MAX,
        )
        try:
            await words.freeze()
        finally:
            words.close()

    async def close(self) -> None:
        """Hang up; jobs go on. Idempotent."""
        for connection in [*self._idle, *self._following.values()]:
            connection.close()
        self._idle.clear()
        self._following.clear()
        for login in self._all_logins():
            await end(login)
        self._logins.clear()
        self.lost.set()

    def _all_logins(self) -> list[asyncssh.SSHClientConnection]:
        """Those nested in the control login go before it."""
        return [*self._logins.values(), *([self._control] if self._control else [])]

    # -- inside -----------------------------------------------------------------------------

    async def begin(self, control: asyncssh.SSHClientConnection) -> None:
        """Take the control login into use; called once. :raises MachineLost"""
        self._control = control
        self._idle.append(JobConnection(*await self._open(self._inside.job_server)))

    async def _request(self, op: str, payload: bytes = b"", **words: Any) -> dict[str, Any]:
        async with self._connection() as connection:
            return await connection.request(op, payload, **words)

    @asynccontextmanager
    async def _connection(
        self, connection: JobConnection | None = None
    ) -> AsyncIterator[JobConnection]:
        """One that nobody else uses; kept for the next unless something went wrong on it."""
        if connection is None:
            connection = await self._take()
        try:
            yield connection
        except MachineError as error:
            if isinstance(error, MachineLost) or not connection.usable:
                connection.close()
            else:
                self._idle.append(connection)
            raise
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _keep_following(self, job_id: str, connection: JobConnection) -> None:
        """A new job's output is on its way before anybody asks: the first byte comes sooner."""
        self._following[job_id] = connection
        while len(self._following) > FOLLOWING_MAX:
            self._following.pop(next(iter(self._following))).close()

    async def _take(self) -> JobConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return JobConnection(*await self._open(self._inside.job_server))

    async def _open(self, path: str, **more: Any) -> Stream:
        control = self._connected()
        try:
            return await control.open_unix_connection(path, **more)
        except (OSError, asyncssh.Error) as error:
            raise MachineLost(f"The machine does not serve {path}: {error}.") from error

    async def _login(self, user: str) -> asyncssh.SSHClientConnection:
        async with self._logging_in:
            login = self._logins.get(user)
            if login is None or login.is_closed():
                await self._certify()
                login = await log_in(
                    self.machine_id,
                    user,
                    self._authority,
                    name=self._inside.users.get(user, user),
                    tunnel=Nested(self.nest, self._inside.ssh_server),
                )
                self._logins[user] = login
            return login

    async def nest(self, factory: Any, path: str) -> Any:
        """Give a socket of the guest program to asyncssh as if it were a TCP connection."""
        return await self._connected().create_unix_connection(factory, path)

    def _connected(self) -> asyncssh.SSHClientConnection:
        """The control login. :raises MachineLost: it has ended"""
        if self._control is None or self.lost.is_set():
            raise MachineLost("The connection into the machine was lost.")
        return self._control


def _clock() -> float:
    """How far the host's clock is ahead of what can't be stepped, in seconds."""
    return time.time() - monotonic()


def follows(said: int, generation: int) -> bool:
    """Whether a guest that says so can be the one that is now to be told `generation`.

    After a boot or a resume it was last told the one before, where a boot's is 0; on a reconnect,
    and when we ended between its thaw and writing that down, the same. A higher one was told it by
    somebody else. A lower one is an older memory, or a guest that began anew behind our back.
    """
    return said in (generation - 1, generation)


async def open_machine(
    connect: Connect,
    *,
    machine_id: str,
    token: int,
    generation: int,
    authority: Authority,
    deadline_seconds: float,
    inside: Inside = OUR_IMAGE,
) -> Channel:
    """Greet, thaw and log in to a machine that was booted, resumed, or is simply running.

    `connect` is the driver's `open_channel`; it is called again while the guest is silent.
    `generation` is one more than at the last thaw after a boot or resume, else the same.

    :raises NoSignature: nothing was said to it
    :raises StaleToken: a newer lease holds the machine
    :raises MachineLost: no answer within the deadline, or the guest refused: destroy the machine
    """
    ready = authority.prepared(machine_id)
    host, keys = ready or (await authority.identify(machine_id), None)
    user_ca = await authority.user_ca()
    words = await greet(
        connect, machine_id=machine_id, token=token, deadline_seconds=deadline_seconds
    )
    if not follows(words.hello.generation, generation):
        words.close()
        raise MachineLost(
            f"The machine says that it was thawed {words.hello.generation} times, and it was "
            f"{generation - 1} or {generation}."
        )
    channel = Channel(
        connect=connect,
        machine_id=machine_id,
        token=token,
        authority=authority,
        boot=words.hello.boot,
        inside=inside,
        host=host,
    )
    try:
        await words.thaw(
            machine_id=machine_id,
            generation=generation,
            host=host,
            user_ca=user_ca,
        )
        await words.ssh()
        control = await log_in(
            machine_id,
            CONTROL,
            authority,
            name=inside.users.get(CONTROL, CONTROL),
            keys=keys,
            lost=channel.lost,
            sock=words.socket,
        )
    except BaseException:
        words.close()
        raise
    try:
        await channel.begin(control)
    except BaseException:
        await channel.close()
        raise
    return channel
