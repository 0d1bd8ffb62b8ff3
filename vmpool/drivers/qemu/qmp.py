"""QMP: the control socket of one QEMU process, spoken by one owner.

Commands may be sent from several tasks; answers are matched by id. File descriptors travel with a
command as ancillary data. Events reach whoever has subscribed, and the latest few are kept for the
sentence that says why a machine ended.
"""

import asyncio
import contextlib
import itertools
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Self

from vmpool.drivers.hypervisor import ControlClosed, ControlRefused

LINE_BYTES_MAX = 4 * 1024 * 1024
EVENTS_KEPT_MAX = 64
COMMAND_SECONDS_MAX = 30.0

Message = dict[str, Any]


class QmpError(ControlRefused):
    """QEMU refused a command; `description` is its own sentence."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(f"QEMU refused {command}: {description}")
        self.command = command
        self.description = description


class QmpClosed(ControlClosed):
    """The connection ended or QEMU stopped answering on it."""


class Qmp:
    """One connection, greeted and ready for commands. Made by `greet`, ended by `close`."""

    def __init__(self, sock: socket.socket) -> None:
        self.version = ""
        """Version and package of the QEMU process at the other end."""
        self.events: deque[Message] = deque(maxlen=EVENTS_KEPT_MAX)
        self._sock = sock
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._subscribers: list[tuple[frozenset[str], asyncio.Queue[Message | None]]] = []
        self._closed = False
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    async def greet(cls, sock: socket.socket, *, seconds_max: float) -> Self:
        """Take over a connected non-blocking socket, read the greeting, leave negotiation mode.

        :raises QmpClosed: nobody answered in time, or the process went away
        """
        qmp = cls(sock)
        lines = qmp._lines()
        try:
            async with asyncio.timeout(seconds_max):
                greeting = await anext(lines)
                qmp.version = describe_version(greeting["QMP"]["version"])
                qmp._reader = asyncio.get_running_loop().create_task(qmp._read(lines))
                await qmp.execute("qmp_capabilities", seconds_max=seconds_max)
        except (TimeoutError, StopAsyncIteration, OSError, KeyError, ValueError) as error:
            await qmp.close()
            raise QmpClosed(f"no greeting from QEMU ({type(error).__name__})") from error
        except BaseException:
            await qmp.close()
            raise
        return qmp

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        fds: Sequence[int] = (),
        seconds_max: float | None = None,
    ) -> Any:
        """Run one command and return what it returned; `fds` stay open on our side.

        Without a limit of its own a command has COMMAND_SECONDS_MAX.

        :raises QmpError: QEMU said no
        :raises QmpClosed: the connection is gone or the answer did not come in time
        """
        if self._closed:
            raise QmpClosed("the control connection is closed")
        number = next(self._ids)
        message: Message = {"execute": command, "id": number}
        if arguments is not None:
            message["arguments"] = dict(arguments)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            async with asyncio.timeout(seconds_max or COMMAND_SECONDS_MAX):
                await self._send(json.dumps(message).encode() + b"\n", fds)
                reply = await answer
        except (OSError, TimeoutError) as error:
            self._end()  # an answer may still come; nobody must take it for another one's
            raise QmpClosed(f"QEMU did not answer {command} ({type(error).__name__})") from error
        finally:
            self._answers.pop(number, None)
        if "error" in reply:
            raise QmpError(command, str(reply["error"].get("desc", reply["error"])))
        return reply.get("return")

    @contextlib.contextmanager
    def subscribed(self, *names: str) -> Iterator["asyncio.Queue[Message | None]"]:
        """Queue the named events from now on; `None` in it says that the connection ended."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue()
        entry = (frozenset(names), queue)
        self._subscribers.append(entry)
        if self._closed:
            queue.put_nowait(None)
        try:
            yield queue
        finally:
            self._subscribers.remove(entry)

    @property
    def closed(self) -> bool:
        """Whether no command can be sent any more."""
        return self._closed

    async def drained(self, *, seconds_max: float) -> None:
        """Wait until a process that has ended left nothing unread in the socket."""
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=seconds_max)

    async def close(self) -> None:
        """Let go of the socket; the process at the other end runs on. Idempotent."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        self._end()
        self._sock.close()

    async def _send(self, line: bytes, fds: Sequence[int]) -> None:
        loop = asyncio.get_running_loop()
        if not fds:
            await loop.sock_sendall(self._sock, line)
            return
        # QEMU has read every earlier command, so the socket's buffer takes this short one at once.
        sent = socket.send_fds(self._sock, [line], list(fds))
        await loop.sock_sendall(self._sock, line[sent:])

    async def _lines(self) -> AsyncIterator[Message]:
        loop = asyncio.get_running_loop()
        rest = b""
        while chunk := await loop.sock_recv(self._sock, 65536):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LINE_BYTES_MAX:
                raise ValueError("a QMP message is longer than LINE_BYTES_MAX")
            for line in lines:
                if line.strip():
                    yield json.loads(line)
            # What is there already is read without waiting: others get their turn all the same.
            await asyncio.sleep(0)

    async def _read(self, lines: AsyncIterator[Message]) -> None:
        try:
            async for message in lines:
                self._take(message)
        except (OSError, ValueError):
            pass
        finally:
            self._end()

    def _take(self, message: Message) -> None:
        if "event" in message:
            self.events.append(message)
            for names, queue in self._subscribers:
                if message["event"] in names:
                    queue.put_nowait(message)
            return
        answer = self._answers.get(message.get("id", 0))
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(QmpClosed("QEMU closed the control connection"))
        for _, queue in self._subscribers:
            queue.put_nowait(None)


def describe_version(version: Mapping[str, Any]) -> str:
    """Spell the `version` object of a greeting: number and package, so that builds differ."""
    number = version["qemu"]
    package = str(version.get("package") or "").strip()
    text = f"{number['major']}.{number['minor']}.{number['micro']}"
    return f"{text} ({package})" if package else text
