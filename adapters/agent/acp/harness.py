"""The harness of agents that speak the Agent Client Protocol.

The cursor is {offset}: how far into the job's spool events were stored. A successor reads from the
beginning all the same, since it is told what the agent had asked and been told; the events before
the cursor are not made again, and a question is asked again until its answer is known.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from acp.connection import Connection
from acp.exceptions import RequestError
from acp.meta import PROTOCOL_VERSION

from adapters.agent.acp import permission
from adapters.agent.acp.profiles import OURS, Profile
from adapters.agent.acp.prompt import blocks
from adapters.agent.acp.translate import Translator, title_of
from adapters.agent.acp.wire import UPDATE, Flooded, JobWire
from adapters.agent.port import (
    AgentEvent,
    Asked,
    Conversation,
    Cursor,
    Emitted,
    Ended,
    Failure,
    Jobs,
    Run,
    Task,
)

log = structlog.get_logger(__name__)

START_SECONDS_MAX = 300.0
"""Until an agent has answered `initialize`, and once more until it has a conversation: under
emulation a large program takes minutes to be read."""
END_SECONDS_MAX = 5.0
"""An agent whose input has ended is given so long before it is ended."""
MODELS_SHOWN_MAX = 20
EVENTS_MAX = 1_000
"""That wait to be taken; then the agent is read no further."""
NOT_LOADED = "The agent could not load what was said before in this session, and begins anew"
PERMISSION = "session/request_permission"
GOING_ON = ("session/load", "session/resume")
_CLIENT = {"name": "ona", "version": "1"}
"""Always the same: what was sent before is told by how long it was."""
_STOPPED: Mapping[str, str] = {
    "end_turn": "done",
    "max_tokens": "the model's answer became too long",
    "max_turn_requests": "the agent asked its model as often as it may in one turn",
    "refusal": "the model refuses to go on",
    "cancelled": "stopped",
}


class AcpAgent:
    """One kind of agent."""

    reads = True

    def __init__(self, profile: Profile, *, asks: bool = False) -> None:
        """`asks`: what the agent wants permission for, people decide; else it is given."""
        self.name = profile.name
        self._profile = profile
        self._asks = asks

    async def start(self, jobs: Jobs, task: Task, cursor: Cursor) -> Run:
        """Start the agent's program for the turn; attach when it was started before."""
        fed = await jobs.start(
            task.id,
            list(self._profile.argv),
            directory=task.directory,
            environment={**task.environment, **self._profile.variables(task.model)},
            merge_stderr=False,
            feeds=True,
        )
        return AcpRun(
            jobs, task, self._profile, seen=int(cursor.get("offset", 0)), fed=fed, asks=self._asks
        )


class _Over(Exception):
    """The turn can't go on; says why."""


@dataclass(frozen=True, kw_only=True)
class _Pending:
    """A request for permission that a person decides."""

    options: tuple[permission.Option, ...]
    answer: "asyncio.Future[str | None]"


class AcpRun:
    """One turn of an agent."""

    def __init__(
        self, jobs: Jobs, task: Task, profile: Profile, *, seen: int, fed: int, asks: bool
    ) -> None:
        """Make no event again that ends before `seen` in the spool."""
        self._jobs = jobs
        self._task = task
        self._profile = profile
        self._seen = seen
        self._asks = asks
        self._events: asyncio.Queue[Emitted] = asyncio.Queue(EVENTS_MAX)
        self._translator = Translator()
        self._wire = JobWire(jobs, task.id, fed=fed, hear=self._hear)
        self._connection: Connection | None = None
        self._conversation = ""
        self._pending: dict[str, _Pending] = {}
        self._requests = 0
        """For permission, so far; whoever reads the spool again counts the same."""

    async def events(self) -> AsyncIterator[Emitted]:
        """See `adapters.agent.port.Run`."""
        self._connection = Connection(self._requested, self._wire)
        talking = asyncio.ensure_future(self._talk(self._connection))
        try:
            while True:
                taking = asyncio.ensure_future(self._events.get())
                try:
                    await asyncio.wait({taking, talking}, return_when=asyncio.FIRST_COMPLETED)
                    if taking.done():
                        yield taking.result()
                        continue
                finally:
                    taking.cancel()
                while not self._events.empty():
                    yield self._events.get_nowait()
                yield self._emit(talking.result())
                return
        finally:
            talking.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await talking

    async def answer(self, key: str, text: str) -> None:
        """See `adapters.agent.port.Run`."""
        pending = self._pending.get(key)
        if pending is not None and not pending.answer.done():
            pending.answer.set_result(text)

    async def cancel(self, *, grace_seconds: float) -> None:
        """Ask the agent to stop, and end its job if it does not: all of it within the grace."""
        grace = grace_seconds / 2
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_result(None)
        if self._connection is not None and self._conversation:
            with suppress(ConnectionError):
                await self._connection.send_notification(
                    "session/cancel", {"sessionId": self._conversation}
                )
                await asyncio.sleep(grace)
        await self._jobs.stop(self._task.id, grace_seconds=grace)

    async def close(self) -> None:
        """Let go; the agent works on."""
        if self._connection is not None:
            await self._connection.close()
        await self._wire.release()

    async def _talk(self, connection: Connection) -> Ended:
        """Hold the conversation of the turn; how it ended.

        :raises ConnectionError: the way into the machine is lost
        """
        try:
            summary, succeeded = await self._prompted(connection)
        except _Over as error:
            summary, succeeded = str(error), False
        except RequestError as error:
            summary, succeeded = f"the agent reports: {_words(error)}", False
        except ConnectionError:
            return await self._broken()
        return await self._ended(summary, succeeded=succeeded)

    async def _prompted(self, connection: Connection) -> tuple[str, bool]:
        capabilities = await self._initialized(connection)
        opened = await self._opened(connection, capabilities)
        await self._set_up(connection, opened)
        done = await connection.send_request(
            "session/prompt",
            {
                "sessionId": self._conversation,
                "prompt": blocks(self._task, capabilities),
            },
        )
        reason = str(_words_of(done, "stopReason") or "end_turn")
        return _STOPPED.get(reason, f"the agent stopped: {reason}"), reason == "end_turn"

    async def _initialized(self, connection: Connection) -> Mapping[str, Any]:
        said = await self._in_time(
            connection.send_request(
                "initialize",
                {
                    "protocolVersion": PROTOCOL_VERSION,
                    "clientCapabilities": {"fs": {"readTextFile": False, "writeTextFile": False}},
                    "clientInfo": _CLIENT,
                },
            ),
            "did not begin to speak",
        )
        version = _words_of(said, "protocolVersion")
        if version != PROTOCOL_VERSION:
            raise _Over(
                f"the agent speaks version {version} of the protocol, not {PROTOCOL_VERSION}"
            )
        capabilities = _words_of(said, "agentCapabilities")
        return capabilities if isinstance(capabilities, dict) else {}

    async def _opened(
        self, connection: Connection, capabilities: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Load the conversation of the turns before, or begin one; what the agent says of it."""
        asked = {"cwd": self._task.directory, "mcpServers": self._servers(capabilities)}
        earlier, again = self._task.conversation, _goes_on_by(capabilities)
        if earlier and again:
            try:
                loaded = await self._in_time(
                    connection.send_request(again, {**asked, "sessionId": earlier}),
                    "did not load its conversation",
                )
            except RequestError:
                log.info("conversation_not_loaded", conversation=earlier)
            else:
                self._conversation = earlier
                return loaded if isinstance(loaded, dict) else {}
        begun = await self._in_time(
            connection.send_request("session/new", asked), "did not begin a conversation"
        )
        conversation = _words_of(begun, "sessionId")
        if not isinstance(conversation, str) or not conversation:
            raise _Over("the agent began a conversation without a name")
        self._conversation = conversation
        return begun if isinstance(begun, dict) else {}

    def _servers(self, capabilities: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The task's servers as the agent takes them; none where it takes none over HTTP."""
        if not _words_of(capabilities.get("mcpCapabilities"), "http"):
            return []
        return [
            {
                "type": "http",
                "name": server.name,
                "url": server.url,
                "headers": [{"name": one, "value": two} for one, two in server.headers.items()],
            }
            for server in self._task.servers
        ]

    async def _set_up(self, connection: Connection, opened: Mapping[str, Any]) -> None:
        """Set the mode and the model, where the agent offers them."""
        modes, mode = opened.get("modes"), self._profile.mode
        offered = _ids(_words_of(modes, "availableModes"), "id")
        is_set = _words_of(modes, "currentModeId") == mode
        if mode in offered and not is_set:
            await connection.send_request(
                "session/set_mode", {"sessionId": self._conversation, "modeId": mode}
            )
        if self._task.model is None:
            return
        for option in _list(opened.get("configOptions")):
            if option.get("category") != "model":
                continue
            model = _model(self._task.model, _ids(option.get("options"), "value"))
            if option.get("currentValue") == model:
                continue
            await connection.send_request(
                "session/set_config_option",
                {
                    "sessionId": self._conversation,
                    "configId": option.get("id"),
                    "value": model,
                },
            )

    async def _in_time(self, asking: Any, otherwise: str) -> Any:
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                return await asking
        except TimeoutError as error:
            raise _Over(f"the agent {otherwise} within {START_SECONDS_MAX:g} s") from error

    async def _requested(self, method: str, params: Any, is_notification: bool) -> Any:
        """Answer a request of the agent: may it do that?"""
        if is_notification:
            return None
        if method != PERMISSION or not isinstance(params, dict):
            raise RequestError.method_not_found(method)
        options = permission.options_of(params)
        if not self._asks:
            return permission.outcome(permission.allowing(options))
        tool = params.get("toolCall")
        name = _words_of(tool, "toolCallId")
        self._requests += 1
        key = f"permission:{self._requests}:{name or title_of(tool)}"[:200]
        waiting: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._pending[key] = _Pending(options=tuple(options), answer=waiting)
        asked = Asked(
            key=key,
            text=f"May the agent do this? {title_of(tool)}",
            choices=tuple(option.name for option in options),
        )
        await self._events.put(self._emit(asked))
        answer = await waiting
        if answer is None:
            return permission.outcome(None)
        chosen = permission.meant(options, answer) or permission.refusing(options)
        return permission.outcome(chosen)

    async def _hear(self, method: str, message: Mapping[str, Any], end: int) -> None:
        """Make events of what is heard, in order, but those that were stored before."""
        for event in self._heard(method, message):
            if end > self._seen:
                await self._events.put(Emitted(event=event, cursor={"offset": end}))

    def _heard(self, method: str, message: Mapping[str, Any]) -> Sequence[AgentEvent]:
        if method == UPDATE:
            update = _words_of(message.get("params"), "update")
            return self._translator.events(update if isinstance(update, dict) else {})
        if method in GOING_ON and "error" in message:
            why = _words_of(message["error"], "message")
            return [Failure(text=f"{NOT_LOADED}: {why}")]
        name = _words_of(message.get("result"), "sessionId")
        if method == "session/new" and isinstance(name, str):
            return [Conversation(agent=self._profile.name, id=name)]
        return []

    def _emit(self, event: AgentEvent) -> Emitted:
        return Emitted(event=event, cursor={"offset": max(self._seen, self._wire.offset)})

    async def _broken(self) -> Ended:
        """The agent's messages have ended: with its job, or only the way to it."""
        lost = self._wire.lost
        if isinstance(lost, Flooded):
            await self._jobs.stop(self._task.id, grace_seconds=0)
            return Ended(succeeded=False, summary=f"the agent was ended: it sent {lost}")
        if self._wire.ended is None:
            raise lost if lost is not None else ConnectionError("the agent is out of reach")
        return await self._ended("the agent ended before it answered", succeeded=False)

    async def _ended(self, summary: str, *, succeeded: bool) -> Ended:
        """End the job, which an agent does by itself at the end of its input."""
        await self._jobs.end_input(self._task.id)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS_MAX):
                await self._wire.over.wait()
        if self._wire.ended is None:
            await self._jobs.stop(self._task.id, grace_seconds=1)
        job = self._wire.ended
        if job is not None and not succeeded:
            summary = f"{summary}{_how(job.failure, job.exit_status, job.signal)}"
            if said := self._wire.complaints.decode(errors="replace").strip():
                summary = f"{summary}; it said: {said[-1_000:]}"
        return Ended(
            succeeded=succeeded, summary=summary, seconds=None if job is None else job.seconds
        )


def _goes_on_by(capabilities: Mapping[str, Any]) -> str | None:
    """How the agent goes on with a conversation of earlier turns; None: it can't.

    Where it does both it loads, which agents have done for longer.
    """
    if capabilities.get("loadSession"):
        return "session/load"
    resumes = _words_of(capabilities.get("sessionCapabilities"), "resume")
    return "session/resume" if isinstance(resumes, dict) else None


def _model(wanted: str, offered: Sequence[str]) -> str:
    """What the agent calls a model: as people do, or with the name of a provider before it.

    :raises _Over: it has none of that name
    """
    for name in (wanted, f"{OURS}/{wanted}"):
        if name in offered:
            return name
    shown = ", ".join(offered[:MODELS_SHOWN_MAX])
    more = ", …" if len(offered) > MODELS_SHOWN_MAX else ""
    raise _Over(f"the agent has no model {wanted!r}; it has {shown}{more}")


def _how(failure: str | None, exit_status: int | None, signal: int | None) -> str:
    if failure is not None:
        return f" ({failure})"
    if signal is not None:
        return f" (signal {signal})"
    return f" (exit status {exit_status})" if exit_status else ""


def _words(error: RequestError) -> str:
    details = error.data if isinstance(error.data, str) else _words_of(error.data, "details")
    return f"{error}: {details}" if isinstance(details, str) and details else str(error)


def _words_of(said: object, name: str) -> Any:
    return said.get(name) if isinstance(said, dict) else None


def _list(said: object) -> list[dict[str, Any]]:
    return [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []


def _ids(said: object, name: str) -> list[str]:
    """The names of what is offered, in groups or not."""
    found: list[str] = []
    for one in _list(said):
        if isinstance(one.get(name), str):
            found.append(one[name])
        found += _ids(one.get("options"), name)
    return found
