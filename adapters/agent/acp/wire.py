"""The messages of an agent, read from its job's spool and written to its input.

Whoever attaches reads the spool from its beginning, and so gets all answers again: a request that
was sent before is recognised and swallowed. Which ones were, is told by how much the job was fed:
our requests go out one after the other, each before anything else does, and always the same.
What is sent twice in spite of that is an answer, and the agent knows its id no more.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from adapters.agent.port import JobAsked, JobChunk, JobEnded, Jobs

MESSAGE_BYTES_MAX = 32 * 1024 * 1024
"""Of one message. Six megabytes were seen, with a picture in it."""
COMPLAINTS_BYTES_MAX = 4 * 1024
"""Of what the agent writes beside the protocol, how much of its end is kept."""
UPDATE = "session/update"
OPENING = ("session/load", "session/resume", "session/new")
ERROR_LENGTH_MAX = 300
INTERNAL_ERROR = -32603

Message = Mapping[str, Any]
Hear = Callable[[str, Message, int], Awaitable[None]]
"""Takes a method, an update of the session or the answer to our request, and where in the spool
that ends; in the order of the spool."""


class JobWire:
    """A transport as the protocol's SDK wants it: `send`, `receive`, `close`."""

    def __init__(self, jobs: Jobs, job_id: str, *, fed: int, hear: Hear) -> None:
        """`fed`: bytes that the job's input has taken so far."""
        self._jobs = jobs
        self._job_id = job_id
        self._at = self._fed_before = fed
        self._hear = hear
        self._sending = asyncio.Lock()
        self._counted = 0
        self._asked: dict[int, str] = {}
        self._due = 0
        """The number of our request that is answered next: each is asked after the one before."""
        self._asking = asyncio.Event()
        self._is_opened = False
        """The conversation is there: what comes before was said in earlier turns."""
        self._messages = self._read()
        self.offset = 0
        """Where in the spool the last message ends."""
        self.complaints = b""
        """The end of what the agent wrote beside the protocol."""
        self.ended: JobEnded | None = None
        self.lost: Exception | None = None
        """Why nothing more is heard, when the job may still run."""
        self.over = asyncio.Event()
        """Nothing more is heard."""

    async def send(self, message: dict[str, Any]) -> None:
        """Write a message, unless an earlier holder did. :raises ConnectionError:"""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if "method" in message and "id" in message:
            before, self._counted = self._counted, self._counted + len(data)
            self._asked[message["id"]] = message["method"]
            self._asking.set()
            if self._fed_before > before:
                return
        # Answers come at once to what is asked at once; of two at one offset only one is read.
        async with self._sending:
            await self._jobs.send(self._job_id, offset=self._at, data=data)
            self._at += len(data)

    async def receive(self) -> dict[str, Any] | None:
        """The next message but updates, which are only heard; None: there is none."""
        try:
            async for message in self._messages:
                if message.get("method") == UPDATE:
                    if self._is_opened:
                        await self._hear(UPDATE, message, self.offset)
                    continue
                if "method" in message:
                    return dict(message)
                if message.get("id") == self._due:
                    answer = _with_error(message)
                    await self._answered(answer)
                    return dict(answer)
        except Exception as error:
            self.lost = error
        self.over.set()
        return None

    async def _answered(self, message: Message) -> None:
        """Wait for the question, as answers that earlier holders got are there before it."""
        number, self._due = self._due, self._due + 1
        while number not in self._asked:
            self._asking.clear()
            await self._asking.wait()
        method = self._asked[number]
        if method in OPENING and "result" in message:
            self._is_opened = True
        await self._hear(method, message, self.offset)

    async def close(self) -> None:
        """Nothing yet: whoever closes is still reading."""

    async def release(self) -> None:
        """Let go of the spool once nobody reads; the job runs on."""
        await self._messages.aclose()

    async def _read(self) -> AsyncGenerator[Message, None]:
        rest = bytearray()
        async for item in self._jobs.attach(self._job_id, stdout_offset=0, stderr_offset=0):
            match item:
                case JobChunk(stream="stderr", data=data):
                    self._complain(data)
                case JobChunk(offset=offset, data=data):
                    end = offset - len(rest)
                    rest += data
                    lines: list[bytes] = []
                    # A long message comes in thousands of pieces: what it has already is not
                    # looked at, or copied, again for each of them.
                    if b"\n" in data:
                        *lines, last = bytes(rest).split(b"\n")
                        rest = bytearray(last)
                    for line in lines:
                        end += len(line) + 1
                        if message := self._parsed(line):
                            self.offset = end
                            yield message
                    if len(rest) > MESSAGE_BYTES_MAX:
                        raise Flooded(f"a message of more than {MESSAGE_BYTES_MAX} bytes")
                case JobEnded():
                    self.ended = item
                    return
                case JobAsked():
                    continue

    def _parsed(self, line: bytes) -> Message | None:
        if not line.strip():
            return None
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict):
            return message
        self._complain(line + b"\n")
        return None

    def _complain(self, data: bytes) -> None:
        self.complaints = (self.complaints + data)[-COMPLAINTS_BYTES_MAX:]


def _with_error(message: Message) -> Message:
    """An answer whose error, if it is one, is as the protocol has it."""
    error = message.get("error")
    if error is None or isinstance(error, dict):
        return message
    said = json.dumps(error)[:ERROR_LENGTH_MAX]
    return {**message, "error": {"code": INTERNAL_ERROR, "message": said}}


class Flooded(Exception):
    """The agent says more at once than can be read."""
