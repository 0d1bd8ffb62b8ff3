"""The agent port: how a turn drives a coding program that runs as a job in a machine.

    start ──▶ events … ──▶ Ended
              │   ▲
        Asked ▼   │ answer
             (the turn may rest for days in between)

A harness holds nothing that matters: every event carries the cursor from which a successor, in
another process, reads on in the job's spool after a crash, a restart or hibernation.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

CONTEXT = "ONA_CONTEXT"
"""Variable of a task's environment: the path of a file with what was said before, if anything."""
Cursor = Mapping[str, Any]
"""Opaque JSON of the harness; {} at the beginning of a turn."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """The agent says something to the person."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Thought:
    """The agent thinks aloud."""

    text: str


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """The agent uses a tool; later ones with the same id update it."""

    id: str
    title: str
    status: Literal["pending", "running", "completed", "failed"]
    diff: str | None = None
    files: tuple[str, ...] | None = None
    """Paths in the machine that it changes, as far as it says so."""
    digest: str | None = None
    """Of what it was given and gave, once it has ended: the same again has the same."""
    command: str | None = None
    """What it runs in the machine's shell."""
    exit_status: int | None = None
    """Of the command, once it has ended, where the agent says it."""
    output: str | None = None
    """The end of what was written, once it has ended."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a command wrote; text, with bytes that are no UTF-8 replaced."""

    stream: Literal["stdout", "stderr"]
    text: str


@dataclass(frozen=True, kw_only=True)
class OutputCut:
    """More was written than the turn shows."""

    bytes: int
    """How many bytes are not shown."""
    where: str
    """Path of the whole output in the machine."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the agent intends to do; replaces the earlier plan."""

    entries: Sequence[Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the agent says of its use; what is paid for, the gateway counts."""

    context_tokens: int = 0
    """How full its context is."""
    cost_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What the agent calls its conversation; handed to its next turn."""

    agent: str
    id: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question or a request for permission; the job waits for `answer`."""

    key: str
    text: str
    choices: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Something went wrong that a person should read; the turn goes on."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The last event: how the agent's job ended."""

    succeeded: bool
    summary: str
    exit_status: int | None = None
    signal: int | None = None
    seconds: float | None = None
    left_running: int = 0
    """Processes that the job left in the machine."""


AgentEvent = (
    Text
    | Thought
    | ToolCall
    | Output
    | OutputCut
    | Plan
    | Usage
    | Conversation
    | Asked
    | Failure
    | Ended
)


@dataclass(frozen=True, kw_only=True)
class Emitted:
    """An event and where to read on after it."""

    event: AgentEvent
    cursor: Cursor


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A file that came with the prompt; it lies in the machine."""

    name: str
    path: str
    media_type: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server of the Model Context Protocol that an agent is told of, over streamable HTTP."""

    name: str
    url: str
    """As a program in the machine reaches it."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a turn asks of an agent."""

    id: str
    """The turn's id, and that of its job."""
    kind: Literal["text", "command"]
    text: str
    directory: str
    """Working directory in the machine."""
    model: str | None = None
    conversation: str | None = None
    """What the agent calls what was said in earlier turns of this session; None: nothing was."""
    attachments: Sequence[Attachment] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    servers: Sequence[Server] = ()
    """The same ones for whoever holds the turn next; an agent that can't use them is told none."""
    output_bytes_max: int = 1 << 20


@dataclass(frozen=True, kw_only=True)
class JobChunk:
    """Bytes of one stream of a job, and the offset of the first of them."""

    stream: Literal["stdout", "stderr"]
    offset: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class JobAsked:
    """A program of the job asks a person."""

    key: str
    text: str
    choices: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class JobEnded:
    """The job's first process ended; what it left in the background lives on."""

    exit_status: int | None
    signal: int | None
    seconds: float
    dropped: int
    """Bytes that did not fit into the spool."""
    background: int = 0
    """Processes that it left running."""
    failure: str | None = None
    """Why it could not be started or was lost, if so."""


class JobRefused(Exception):
    """The machine says no, and would again: no room, unknown, malformed; the text says which."""


class Jobs(Protocol):
    """The jobs of one machine, as a harness needs them.

    :raises ConnectionError: by every method when the way into the machine is lost; the caller
        reconnects and goes on at its cursor
    :raises JobRefused: by every method; the turn ends with that
    """

    async def start(
        self,
        job_id: str,
        argv: Sequence[str],
        *,
        directory: str,
        environment: Mapping[str, str],
        merge_stderr: bool,
        feeds: bool = False,
    ) -> int:
        """Start a job once; a job of this id that exists already is left as it is.

        :param feeds: its standard input is written by `send`; else it is empty
        :return: bytes that its input has taken; 0 if it is new
        """
        ...

    def attach(
        self, job_id: str, *, stdout_offset: int, stderr_offset: int
    ) -> AsyncIterator[JobChunk | JobAsked | JobEnded]:
        """Everything from the offsets on, questions that are still open, then the end."""
        ...

    async def send(self, job_id: str, *, offset: int, data: bytes) -> None:
        """Write to the job's standard input; bytes before its known offset are dropped."""
        ...

    async def end_input(self, job_id: str) -> None:
        """End the job's standard input after what was sent; twice changes nothing."""
        ...

    async def answer(self, job_id: str, *, key: str, text: str) -> None:
        """Answer a question of the job; answering twice changes nothing."""
        ...

    async def stop(self, job_id: str, *, grace_seconds: float) -> None:
        """End the job and everything it started; ended already is success."""
        ...

    def spool_path(self, job_id: str) -> str:
        """Where the job's output lies in the machine, for people."""
        ...


class Run(Protocol):
    """One turn of an agent."""

    def events(self) -> AsyncIterator[Emitted]:
        """The events from the cursor on; the last one is `Ended`."""
        ...

    async def answer(self, key: str, text: str) -> None:
        """Hand over a person's answer to `Asked`."""
        ...

    async def cancel(self, *, grace_seconds: float) -> None:
        """End the turn's job within so long, whatever it does; `events` then ends with `Ended`."""
        ...

    async def close(self) -> None:
        """Let go; the job goes on in the machine."""
        ...


class Agent(Protocol):
    """A kind of coding program."""

    name: str
    reads: bool
    """A task's text is words, which quoted material may stand below; else it is a program, and the
    material is in the file that CONTEXT names."""

    async def start(self, jobs: Jobs, task: Task, cursor: Cursor) -> Run:
        """Start the turn's job, or attach to it when it was started before."""
        ...
