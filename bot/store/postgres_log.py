"""What the embedded PostgreSQL says: a file of bounded length."""

import contextlib
import os
from pathlib import Path

LOG_BYTES_MAX = 8 * 1024 * 1024
"""At a start; a longer one is put aside as `log.old`."""


def open_log(path: Path) -> int:
    """A descriptor to append to."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_name("log.old"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def why_it_ended(log: str) -> str:
    """The last line that says why a server ended, without its time."""
    lines = [line for line in log.splitlines() if "FATAL" in line or "error:" in line]
    return lines[-1].partition("]")[2].strip() or lines[-1] if lines else "it did not say why"
