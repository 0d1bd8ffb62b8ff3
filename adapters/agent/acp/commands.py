"""What a tool call says of the command that it runs: which, how it ended, what it wrote; pure.

The protocol has no place for any of it: each agent puts it where it likes, and all of it may lack.
"""

import re
import shlex
from collections.abc import Mapping
from typing import Any

COMMAND_LENGTH_MAX = 2_000
OUTPUT_LENGTH_MAX = 8_000
"""Of what a command wrote the end is kept."""
STATUS_MAX = 1 << 32
"""Of an exit status; some systems have large ones."""
_SHELL = re.compile(r"(?:\S*/)?(?:ba|z|da)?sh")
_RUNS = re.compile(r"-\w*c")
_FENCE = re.compile(r"\A\s*```[\w-]*\n|\n```\s*\Z")


def command_of(given: object) -> str | None:
    """The command that a call was given, as a shell reads it; without the shell that runs it."""
    command = given.get("command") if isinstance(given, Mapping) else None
    words = _words(command)
    if len(words) == 3 and _SHELL.fullmatch(words[0]) and _RUNS.fullmatch(words[1]):
        command = words[2]
    elif not isinstance(command, str):
        command = shlex.join(words)
    if isinstance(given, Mapping) and given.get("run_in_background") is True:
        command += " &"
    return command[:COMMAND_LENGTH_MAX] if words else None


def exit_status_of(gave: object) -> int | None:
    """The exit status of a call's command, if the agent says it."""
    if not isinstance(gave, Mapping):
        return None
    beside = gave.get("metadata")
    found = [gave.get("exit_code"), gave.get("exitCode")]
    found += [beside.get("exit")] if isinstance(beside, Mapping) else []
    known = (one for one in found if isinstance(one, int) and one is not True)
    return next((one for one in known if abs(one) <= STATUS_MAX), None)


def output_of(gave: object, content: object) -> str | None:
    """The end of what a call's command wrote."""
    whole = _raw(gave) or _shown(content)
    return _FENCE.sub("", whole)[-OUTPUT_LENGTH_MAX:] or None


def _words(command: object) -> list[str]:
    if isinstance(command, list):
        return [str(word) for word in command]
    if not isinstance(command, str):
        return []
    try:
        return shlex.split(command)
    except ValueError:
        return [command]


def _raw(gave: object) -> str:
    if isinstance(gave, str):
        return gave
    if not isinstance(gave, Mapping):
        return ""
    for name in ("formatted_output", "aggregated_output", "output"):
        if isinstance(said := gave.get(name), str) and said:
            return said
    return "\n".join(
        said for name in ("stdout", "stderr") if isinstance(said := gave.get(name), str) and said
    )


def _shown(content: object) -> str:
    parts = content if isinstance(content, list) else []
    return "\n".join(filter(None, map(_text, parts)))


def _text(part: Any) -> str:
    inner = part.get("content") if isinstance(part, Mapping) else None
    said = inner.get("text") if isinstance(inner, Mapping) else None
    return said if isinstance(said, str) else ""
