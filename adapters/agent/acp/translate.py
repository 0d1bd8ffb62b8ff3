"""What an update of the protocol is as an event of ours; pure but for what is remembered of tools.

Kinds that are not known, and updates that are none, tell nothing: agents are newer than we are.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal

from adapters.agent.acp.commands import command_of, exit_status_of, output_of
from adapters.agent.port import Plan, Text, Thought, ToolCall, Usage

TITLE_LENGTH_MAX = 300
DIGEST_LENGTH = 16
DIFF_LENGTH_MAX = 64 * 1024
PLAN_ENTRIES_MAX = 100
AMOUNT_MAX = 1e15
"""Of tokens, or of dollars."""
TEXT_LENGTH_MAX = 256 * 1024
"""Of one piece of what is said or thought."""

Status = Literal["pending", "running", "completed", "failed"]
FILES_MAX = 20
"""Of one call."""
_STATUS: Mapping[str, Status] = {
    "pending": "pending",
    "in_progress": "running",
    "completed": "completed",
    "failed": "failed",
}


class Translator:
    """Translates the updates of one turn, in order."""

    def __init__(self) -> None:
        self._tools: dict[str, ToolCall] = {}
        self._told: dict[str, dict[str, Any]] = {}
        """What calls under way were given, and gave so far."""

    def events(
        self, update: Mapping[str, Any]
    ) -> Sequence[Text | Thought | ToolCall | Plan | Usage]:
        """The events that an update is; most are one, some none."""
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                said = _text(update.get("content"))
                return [Text(text=said)] if said else []
            case "agent_thought_chunk":
                thought = _text(update.get("content"))
                return [Thought(text=thought)] if thought else []
            case "tool_call" | "tool_call_update":
                return self._tool(update)
            case "plan":
                return [Plan(entries=_entries(update.get("entries")))]
            case "usage_update":
                return _usage(update)
            case _:
                return []

    def _tool(self, update: Mapping[str, Any]) -> Sequence[ToolCall]:
        """A call that is begun, or changed: what an update leaves out stays as it was."""
        name = update.get("toolCallId")
        if not isinstance(name, str) or not name:
            return []
        before = self._tools.get(name)
        title = update.get("title")
        said = update.get("status")
        known = _STATUS.get(said) if isinstance(said, str) else None
        status = known or (before.status if before else "pending")
        raw = self._told.setdefault(name, {})
        raw |= {key: update[key] for key in _TOLD if update.get(key) is not None}
        is_over = status in {"completed", "failed"}
        gave, shown = raw.get("rawOutput"), raw.get("content")
        told = ToolCall(
            id=name,
            title=_line(title) if isinstance(title, str) and title.strip() else _title(before),
            status=status,
            diff=_diff(update.get("content")) or (before.diff if before else None),
            files=_files(update.get("content")) or (before.files if before else None),
            digest=_digest(raw) if is_over else None,
            command=command_of(raw.get("rawInput")),
            exit_status=exit_status_of(gave) if is_over else None,
            output=output_of(gave, shown) if is_over else None,
        )
        if told == before:
            return []
        self._tools[name] = told
        return [told]


_TOLD = ("rawInput", "rawOutput", "content")


def _digest(told: Mapping[str, Any]) -> str:
    """Of a call; names of terminals are new each time."""
    content = told.get("content")
    if isinstance(content, list):
        lasting = [one for one in content if not (isinstance(one, Mapping) and "terminalId" in one)]
        told = {**told, "content": lasting}
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:DIGEST_LENGTH]


def title_of(tool: object) -> str:
    """What a call that asks for permission wants to do, on one line."""
    title = tool.get("title") if isinstance(tool, Mapping) else None
    return _line(title) if isinstance(title, str) and title.strip() else "use a tool"


def _title(before: ToolCall | None) -> str:
    return before.title if before else "a tool"


def _line(text: str) -> str:
    return " ".join(text.split())[:TITLE_LENGTH_MAX]


def _text(content: object) -> str:
    """The words of a content block; of others what they are about."""
    if not isinstance(content, Mapping):
        return ""
    for name in ("text", "uri"):
        said = content.get(name)
        if isinstance(said, str):
            return said[:TEXT_LENGTH_MAX]
    return ""


def _entries(entries: object) -> Sequence[Mapping[str, str]]:
    if not isinstance(entries, list):
        return []
    return [
        {"content": _line(one["content"]), "status": _line(str(one.get("status") or "pending"))}
        for one in entries[:PLAN_ENTRIES_MAX]
        if isinstance(one, Mapping) and isinstance(one.get("content"), str)
    ]


def _usage(update: Mapping[str, Any]) -> Sequence[Usage]:
    cost = update.get("cost")
    amount = cost.get("amount") if isinstance(cost, Mapping) else None
    is_dollars = isinstance(cost, Mapping) and cost.get("currency") == "USD"
    used = _number(update.get("used"))
    return [
        Usage(
            context_tokens=int(used or 0),
            cost_usd=_number(amount) if is_dollars else None,
        )
    ]


def _number(said: object) -> float | None:
    """An amount that may be one: no agent counts further, and no database keeps NaN in JSON."""
    if isinstance(said, int | float) and 0 <= said <= AMOUNT_MAX:
        return float(said)
    return None


def _diff(content: object) -> str | None:
    """What a call changes in files, as one unified diff."""
    if not isinstance(content, list):
        return None
    parts = [_file_diff(one) for one in content if isinstance(one, Mapping)]
    diff = "".join(part for part in parts if part)
    return diff[:DIFF_LENGTH_MAX] or None


def _files(content: object) -> tuple[str, ...] | None:
    """The paths of what a call changes, each once."""
    if not isinstance(content, list):
        return None
    changes = (one for one in content if isinstance(one, Mapping) and one.get("type") == "diff")
    paths = [_line(one["path"]) for one in changes if isinstance(one.get("path"), str)]
    return tuple(dict.fromkeys(paths))[:FILES_MAX] or None


def _file_diff(change: Mapping[str, Any]) -> str:
    path, new = change.get("path"), change.get("newText")
    if change.get("type") != "diff" or not isinstance(path, str) or not isinstance(new, str):
        return ""
    old = change.get("oldText")
    before = old if isinstance(old, str) else ""
    if len(before) + len(new) > 4 * DIFF_LENGTH_MAX:
        return f"--- {path}\n+++ {path}\n(too long to be compared here)\n"
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        new.splitlines(keepends=True),
        path if old is not None else "/dev/null",
        path,
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
