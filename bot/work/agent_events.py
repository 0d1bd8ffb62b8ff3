"""How what an agent reports is stored as events of its session; pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

from adapters.agent import port
from bot.work.queue import Event
from bot.work.tested import is_test


def as_event(event: port.AgentEvent) -> Event:
    """How an agent's event is stored."""
    match event:
        case port.Text(text=said):
            return Event(kind="text", body={"text": _clean(said)})
        case port.Thought(text=said):
            return Event(kind="thought", body={"text": _clean(said)})
        case port.Output(stream=stream, text=said):
            return Event(kind="output", body={"stream": stream, "text": _clean(said)})
        case port.OutputCut(bytes=size, where=where):
            return Event(kind="output.cut", body={"bytes": size, "where": where})
        case port.Failure(text=said):
            return Event(kind="error", body={"text": _clean(said)})
        case (
            port.ToolCall()
            | port.Plan()
            | port.Usage()
            | port.Conversation()
            | port.Asked()
            | port.Ended()
        ):
            return Event(kind=_KINDS[type(event)], body=_fields(_needed(event)))
        case _:
            assert_never(event)


_KINDS: Mapping[type, str] = {
    port.ToolCall: "tool",
    port.Plan: "plan",
    port.Usage: "usage",
    port.Conversation: "conversation",
    port.Asked: "question",
    port.Ended: "ended",
}


def _needed(event: port.AgentEvent) -> port.AgentEvent:
    """An event without what nobody looks at again: what a tool wrote that ran no tests."""
    if isinstance(event, port.ToolCall) and not is_test(event.command or event.title):
        return replace(event, output=None)
    return event


def _fields(event: object) -> dict[str, Any]:
    return {name: _cleaned(value) for name, value in vars(event).items() if value is not None}


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Mapping):
        return {name: _cleaned(one) for name, one in value.items()}
    return [_cleaned(one) for one in value] if isinstance(value, list | tuple) else value


def _clean(said: str) -> str:
    """PostgreSQL's JSON has no NUL and no lone surrogates."""
    return said.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
