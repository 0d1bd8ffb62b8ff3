"""What a forge's CI says about a commit: its checks, and why one failed.

    Checks.of(commit) ─▶ [Check, …]        Checks.log(check) ─▶ the end of what it wrote

What we ourselves show on a commit is none of its checks.
"""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from adapters.chat.port import Deadline

LOG_BYTES_MAX = 16 * 1024
"""Of the end of a log, which says what failed."""
READ_BYTES_MAX = 64 * 1024 * 1024
"""Of a log whose end is looked for; longer ones are given up."""
SUMMARY_LENGTH_MAX = 4_000
CHECKS_MAX = 200
"""On one commit; what is beyond is not looked at."""

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\r(?=\n)")


class CheckState(enum.StrEnum):
    """How a check stands."""

    PENDING = "pending"
    PASSED = "passed"
    """It says nothing against the commit: succeeded, neutral, skipped, allowed to fail."""
    FAILED = "failed"
    STOPPED = "stopped"
    """It was cancelled, or waits for a person: nobody knows about the commit."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of a commit, in its newest run."""

    id: str
    """Of this run; another run has another."""
    name: str
    state: CheckState
    url: str = ""
    summary: str = ""
    """What it says of itself."""
    job: str = ""
    """Id of what wrote a log that the forge has; empty: there is none."""


class Checks(Protocol):
    """The CI of the repositories of one forge. Errors are those of `ChatPort`."""

    async def of(
        self, repository: str, commit: str, branch: str, deadline: Deadline
    ) -> list[Check]:
        """The newest run of each check of a commit; empty: there is none, or none yet."""
        ...

    async def log(self, repository: str, check: Check, deadline: Deadline) -> str:
        """The end of what a failed check wrote; empty: nothing can be read."""
        ...


def readable(log: bytes | str) -> str:
    """The end of a log without what colours it; at most LOG_BYTES_MAX, from a line's beginning."""
    text = log.decode("utf-8", "replace") if isinstance(log, bytes) else log
    text = _CONTROL.sub("", text)
    end = text.encode()[-LOG_BYTES_MAX:].decode("utf-8", "ignore")
    if len(end) < len(text) and "\n" in end:
        end = end.partition("\n")[2]
    return end.strip("\n")


def end_of(chunks: Iterable[bytes]) -> bytes:
    """The end of what comes piece by piece; of what is too long, the end of what was read."""
    kept, count = b"", 0
    for chunk in chunks:
        kept = (kept + chunk)[-4 * LOG_BYTES_MAX :]
        count += len(chunk)
        if count > READ_BYTES_MAX:
            break
    return kept
