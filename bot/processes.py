"""The processes that `ona up` keeps alive: what runs and since when, and why one keeps ending.

`ona up` writes them to a file below the data directory whenever one begins or ends a life; whoever
wants to know reads it, and asks the lock of `ona up` whether that is still so.
"""

import json
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from bot.locks import is_held
from bot.supervisor import ENDS_MAX, ENDS_SECONDS, Child

LAST_LINES = 5
LINE_LENGTH_MAX = 300
TAIL_BYTES = 16_384


@dataclass(frozen=True, kw_only=True)
class Process:
    """One that `ona up` keeps alive."""

    name: str
    pid: int | None
    """None: it does not run right now."""
    since: str
    """When its life began, in ISO 8601; "" while it does not run."""
    restarts: int
    ended: str
    """How its last life ended; "": it has had one only."""


class Overseer:
    """Writes down what runs, and tells who runs it of a process that keeps ending."""

    def __init__(self, data_dir: Path, say: Callable[[str], None]) -> None:
        self._file = file_of(data_dir)
        self._say = say

    def changed(self, children: Sequence[Child]) -> None:
        """Write it down; where that can't be, nobody can read it."""
        rows = [asdict(_process(child)) for child in children]
        new = self._file.with_suffix(".new")
        with suppress(OSError):
            new.write_text(json.dumps(rows), encoding="utf-8")
            new.replace(self._file)

    def killed(self, child: Child) -> None:
        """Say so, and that nothing accepted is lost by it."""
        self._say(
            f"`ona {child.name}` did not stop within {child.stop_seconds:g} s and was killed; "
            "the next start goes on with what it was doing."
        )

    def keeps_ending(self, child: Child) -> None:
        """Say so, what it said last, and what to do."""
        self._say(
            f"`ona {child.name}` ended {ENDS_MAX} times within {ENDS_SECONDS:.0f} s, the last time"
            f" by {ended(child.status)}. It is started again and again. It said last:"
        )
        lines = last_lines(child)
        for line in lines or ["nothing"]:
            self._say(f"    {line}")
        self._say(f"Mend that, or look at `ona doctor` and at {child.log}; Ctrl-C stops all of it.")


def file_of(data_dir: Path) -> Path:
    """Where `ona up` writes down what runs."""
    return data_dir / "processes.json"


def running(data_dir: Path) -> list[Process] | None:
    """What `ona up` keeps alive here; None: it does not run, or has just begun."""
    if not is_held(data_dir / "up.lock"):
        return None
    try:
        rows = json.loads(file_of(data_dir).read_text(encoding="utf-8"))
        return [Process(**row) for row in rows]
    except (OSError, ValueError, TypeError):
        return None


def last_lines(child: Child) -> list[str]:
    """The last lines that a child wrote to its log in its last life."""
    if child.log is None:
        return []
    try:
        with child.log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(child.log_from, size - TAIL_BYTES))
            said = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.rstrip()[:LINE_LENGTH_MAX] for line in said.splitlines() if line.strip()]
    return lines[-LAST_LINES:]


def ended(status: int | None) -> str:
    """How a process ended, in words."""
    if status is None:
        return "an unknown cause"
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def at_of(process: Process) -> datetime | None:
    """Since when it runs."""
    return datetime.fromisoformat(process.since) if process.since else None


def _process(child: Child) -> Process:
    return Process(
        name=child.name,
        pid=child.pid,
        since=child.since.isoformat() if child.since else "",
        restarts=child.restarts,
        ended=ended(child.status) if child.status is not None else "",
    )
