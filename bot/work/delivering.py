"""What becomes of a turn's work; pure. `bot.work.delivery` does what is decided here.

new commits? ──▶ concerns: LFS ──▶ refused
     │             protected paths, size, secrets ──▶ a person is asked
     ▼
landing: the branch is where we left it, or behind us ──▶ push; else ──▶ a person is asked
     ▼
request: an open pull request stays, else one is opened, if the policy wants one
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from adapters.forge.port import PullRequest
from bot.govern.policy_text import Delivery
from vmpool.network.forge.pushing import ZERO

SHOWN_MAX = 5
"""Paths that a sentence names; the others are counted."""
ASIDES_MAX = 100

Kind = Literal["protected", "size", "secrets"]
Landing = Literal["there", "push", "moved"]
Request = Literal["none", "keep", "open"]


@dataclass(frozen=True, kw_only=True)
class ChangedFile:
    """A file that differs."""

    path: str
    insertions: int = 0
    """Lines; of a binary file none are counted."""
    deletions: int = 0


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A line that is added and looks like a secret."""

    path: str
    line: int
    kind: str
    """What it looks like, in the scanner's words."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What differs between two commits."""

    files: Sequence[ChangedFile] = ()
    leaks: Sequence[Leak] = ()
    in_lfs: Sequence[str] = ()
    """Paths that the repository keeps in Git LFS."""
    is_whole: bool = True
    """Whether all of it could be looked through for secrets."""

    @property
    def insertions(self) -> int:
        """Lines that are added."""
        return sum(one.insertions for one in self.files)

    @property
    def deletions(self) -> int:
        """Lines that are removed."""
        return sum(one.deletions for one in self.files)


@dataclass(frozen=True, kw_only=True)
class Concern:
    """Why a person is asked before something is pushed."""

    kind: Kind
    about: Sequence[str] = field(default=())
    """Paths, with what is found there."""


def concerns(change: Change, policy: Delivery) -> Sequence[Concern]:
    """What a person has to let pass, the gravest first."""
    found: list[Concern] = []
    if change.leaks:
        places = [f"{one.path}:{one.line} ({one.kind})" for one in change.leaks]
        found.append(Concern(kind="secrets", about=places))
    guarded = [one.path for one in change.files if is_protected(one.path, policy.protected)]
    if guarded:
        found.append(Concern(kind="protected", about=guarded))
    lines = change.insertions + change.deletions
    if len(change.files) > policy.files_max or lines > policy.lines_max or not change.is_whole:
        found.append(Concern(kind="size"))
    return found


def is_protected(path: str, patterns: Collection[str]) -> bool:
    """Whether a path is one of these: `*` is within a directory, `**` goes over several."""
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern with no slash but at its end counts in every directory, as in `.gitignore`."""
    anchored = "/" in pattern.rstrip("/")
    whole = pattern + "**" if pattern.endswith("/") else pattern
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", whole if anchored else f"**/{whole}")
    meant = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meant.get(part, re.escape(part)) for part in parts), re.DOTALL)


def landing(*, head: str, there: str, seen: str, contains_there: bool) -> Landing:
    """What to do about the session's branch.

    :param there: the commit that it is at; `ZERO`: there is no such branch
    :param seen: where the session left it
    :param contains_there: what is there leads to `head`: nothing of it would be lost
    """
    if there == head:
        return "there"
    return "push" if there in {ZERO, seen} or contains_there else "moved"


def newest(branch: str, refs: Collection[str]) -> str:
    """The branch on which a session works on: it, or the last one beside it that it went to.

    :param refs: whole ones, of branches that the session pushed
    """
    beside = re.compile(rf"refs/heads/{re.escape(branch)}-(\d{{1,3}})")
    numbers = [int(found[1]) for ref in refs if (found := beside.fullmatch(ref))]
    return f"{branch}-{max(numbers)}" if numbers else branch


def aside(branch: str, taken: Collection[str]) -> str:
    """A free name for a branch beside one that somebody else moved."""
    stem = re.sub(r"-\d+$", "", branch) if re.search(r"/s-[^-]+-\d+$", branch) else branch
    names = (f"{stem}-{number}" for number in range(2, ASIDES_MAX))
    return next(name for name in names if name not in taken)


def request(found: PullRequest | None, policy: Delivery) -> Request:
    """What to do about the pull request of a branch; `found` is what the forge has of it.

    One that was merged or closed is over: what came since then gets another one.
    """
    if policy.mode != "pull-request":
        return "none"
    return "keep" if found is not None and found.state == "open" else "open"


def turned(found: PullRequest, wished: bool | None, policy: Delivery) -> bool | None:
    """Whether an open one becomes a draft or ready, as its agent wished; None: it stays.

    Where the policy wants drafts, people alone say of one that it is ready.
    """
    if wished is None or wished == found.draft or (policy.draft and not wished):
        return None
    return wished


def shown(paths: Sequence[str]) -> str:
    """Paths as a sentence names them."""
    named = ", ".join(paths[:SHOWN_MAX])
    more = len(paths) - SHOWN_MAX
    return f"{named} (+{more})" if more > 0 else named
