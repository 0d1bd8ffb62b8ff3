"""Jobs of a machine as the host sees them, and the frames they are spoken of in.

A frame is one JSON line and the payload that its `bytes` announces. Every operation is
idempotent, so a request whose answer was lost is simply made again.
"""

import asyncio
import enum
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

import asyncssh

from vmpool.errors import MachineLost
from vmpool.job_words import (
    entries,
    fitting,
    header_of,
    nonsense,
    number,
    refused_or,
    text,
    words,
)

REQUEST_SECONDS_MAX = 30.0
SPOOL_DIRECTORY = "/var/lib/ona/jobs"

StreamName = Literal["stdout", "stderr"]


class JobState(enum.StrEnum):
    """Where a job is."""

    RUNNING = "running"
    """Its first process is alive."""
    ENDED = "ended"
    """Its first process ended, or never could start; the status says how."""
    LOST = "lost"
    """The machine lost its memory while it ran."""


@dataclass(frozen=True, kw_only=True)
class JobLimits:
    """What bounds a job; None leaves it to the guest."""

    pids_max: int | None = None
    memory_bytes_max: int | None = None
    spool_bytes_max: int | None = None
    """For each of the two streams."""


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What to run under an id; a second start of the id answers the first."""

    id: str
    """1 to 100 of A-Z a-z 0-9 _ -; a turn's id."""
    argv: Sequence[str]
    cwd: str | None = None
    """None: the user's home."""
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """None: `agent`."""
    merge_stderr: bool = False
    """Both streams in the order they were written, as `stdout`."""
    input: bool = False
    """Whether standard input is fed by `send_input`; else it is empty."""
    limits: JobLimits = JobLimits()


@dataclass(frozen=True, kw_only=True)
class JobQuestion:
    """Something in a job asks a person and waits; answered by its id."""

    question_id: str
    text: str
    choices: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job as the guest knows it; byte counts are also the offsets to go on at."""

    id: str
    state: JobState
    exit_status: int | None
    signal: int | None
    failure: str | None
    """Why it could not be started, if so."""
    stopped: bool
    """It ended because it was asked to."""
    out_of_memory: bool
    started_at: float
    """Seconds since 1970, the guest's clock."""
    ended_at: float | None
    seconds: float
    """How long it ran, the time at rest not counted."""
    stdout_bytes: int
    stdout_dropped: int
    stderr_bytes: int
    stderr_dropped: int
    input_offset: int
    input_open: bool
    processes: int
    """Alive now: the command's, or what it left in the background."""
    questions: Sequence[JobQuestion]


@dataclass(frozen=True, kw_only=True)
class JobOutput:
    """Bytes of one stream and the offset of the first of them."""

    stream: StreamName
    offset: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class JobExit:
    """The first process ended, and everything it wrote before came before this."""

    status: JobStatus


JobEvent = JobOutput | JobQuestion | JobExit


class JobConnection:
    """One connection to the guest's job server: one request at a time, or one attachment."""

    def __init__(
        self, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]
    ) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def usable(self) -> bool:
        """Whether both ends still hold it, as far as we know."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        """Hang up; idempotent."""
        self._writer.close()

    async def request(
        self,
        op: str,
        payload: bytes = b"",
        *,
        seconds_max: float | None = REQUEST_SECONDS_MAX,
        **words: Any,
    ) -> dict[str, Any]:
        """Ask one thing and wait for its answer.

        :raises JobRefused, StaleToken: the guest said no
        :raises MachineLost: no answer in time, or the connection broke
        """
        try:
            async with asyncio.timeout(seconds_max):
                await self._send({"op": op, **words}, payload)
                answer, _ = await self._receive()
        except TimeoutError:
            raise MachineLost(f"The machine did not answer to {op} in {seconds_max} s.") from None
        return refused_or(answer)

    async def attach(self, job_id: str, offsets: Mapping[str, int]) -> AsyncIterator[JobEvent]:
        """Follow a job; ends after its exit. :raises: as `request`."""
        words: dict[str, Any] = {"job": job_id, **offsets}
        await self.request("attach", **words)
        async for event in self.follow():
            yield event

    async def follow(self) -> AsyncIterator[JobEvent]:
        """What comes on a connection that is attached."""
        while True:
            # A frame that is here already is read without waiting, and there may be no end of them.
            await asyncio.sleep(0)
            frame, data = await self._receive()
            match refused_or(frame).get("frame"):
                case "output":
                    yield output_of(frame, data)
                case "question":
                    yield question_of(frame)
                case "exit":
                    yield JobExit(status=status_of(frame.get("status")))
                    return
                case _:
                    continue

    async def _send(self, header: dict[str, Any], payload: bytes) -> None:
        if payload:
            header["bytes"] = len(payload)
        try:
            self._writer.write(json.dumps(header).encode() + b"\n" + payload)
            await self._writer.drain()
        except (OSError, asyncssh.Error) as error:
            raise MachineLost("The connection into the machine was lost.") from error

    async def _receive(self) -> tuple[dict[str, Any], bytes]:
        try:
            line = await self._reader.readuntil(b"\n")
            header, size = header_of(line)
            return header, await self._reader.readexactly(size) if size else b""
        except (EOFError, OSError, asyncssh.Error) as error:
            raise MachineLost("The connection into the machine was lost.") from error
        except (ValueError, asyncio.LimitOverrunError) as error:
            raise nonsense(error) from error


def output_of(frame: Mapping[str, Any], data: bytes) -> JobOutput:
    """Output as the guest sent it. :raises MachineLost: it is none"""
    stream: Any = frame.get("stream")
    if stream not in get_args(StreamName):
        raise nonsense(stream)
    return JobOutput(stream=stream, offset=number(frame.get("offset")), data=data)


def order_of(spec: JobSpec) -> dict[str, Any]:
    """The words of a start."""
    limits = {name: value for name, value in vars(spec.limits).items() if value is not None}
    return {
        "job": spec.id,
        "argv": list(spec.argv),
        "cwd": spec.cwd,
        "env": dict(spec.env),
        "user": spec.user,
        "merge_stderr": spec.merge_stderr,
        "input": spec.input,
        "limits": limits,
    }


def question_of(said: Any) -> JobQuestion:
    """A question as the guest put it. :raises MachineLost: it is none"""
    said = words(said)
    return JobQuestion(
        question_id=text(said.get("question")),
        text=text(said.get("text")),
        choices=tuple(text(choice) for choice in entries(said.get("choices"))),
    )


def status_of(said: Any) -> JobStatus:
    """A status as the guest put it. :raises MachineLost: it is none"""
    said = words(said)
    if said.get("state") not in list(JobState):
        raise nonsense(said)
    return JobStatus(
        id=text(said.get("job")),
        state=JobState(said["state"]),
        questions=tuple(map(question_of, entries(said.get("questions")))),
        **{name: fitting(said.get(name), kind) for name, kind in _PLAIN.items()},
    )


_PLAIN = {
    name: kind
    for name, kind in get_type_hints(JobStatus).items()
    if name not in {"id", "state", "questions"}
}
"""The fields of a status that are said as they are, and of what kind each is."""
