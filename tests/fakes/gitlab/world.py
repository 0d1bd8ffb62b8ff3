"""What there is on a GitLab: people, projects, merge requests, issues, notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.fakes.gitlab.people import Person

Kind = Literal["issues", "merge_requests"]
Visibility = Literal["public", "internal", "private"]

GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER = 10, 20, 30, 40, 50
ENDED = frozenset({"success", "failed", "canceled", "skipped"})


@dataclass(eq=False, kw_only=True)
class Award:
    id: int
    name: str
    user: Person
    created_at: datetime


@dataclass(eq=False, kw_only=True)
class Note:
    id: int
    noteable: Noteable
    author: Person
    body: str
    created_at: datetime
    updated_at: datetime
    discussion: str
    type: Literal["DiscussionNote", "DiffNote"] | None = None
    internal: bool = False
    at: tuple[str, int] | None = None
    """Path and line that it is at."""
    system: bool = False
    updated_by: Person | None = None
    awards: list[Award] = field(default_factory=list)

    def awarded(self, user: Person) -> list[str]:
        """Names of the emoji that somebody awarded."""
        return [one.name for one in self.awards if one.user is user]


@dataclass(eq=False, kw_only=True)
class Noteable:
    """An issue or a merge request."""

    id: int
    iid: int
    kind: Kind
    project: Project
    author: Person
    title: str
    created_at: datetime
    updated_at: datetime
    state: str = "opened"
    confidential: bool = False
    source: Project | None = None
    """Of a merge request: the project that it comes from; None when that is deleted."""
    branch: str = ""
    target: str = "main"
    description: str = ""
    heads: list[str] = field(default_factory=list)
    """Of a merge request: the newest commit after each push."""
    notes: list[Note] = field(default_factory=list)
    actions: list[tuple[str, str]] = field(default_factory=list)
    """Quick actions that were run, with their arguments."""
    pushed: dict[str, datetime] = field(default_factory=dict)
    """When the heads came that came later."""
    ended_by: Person | None = None
    ended_at: datetime | None = None
    labels: list[str] = field(default_factory=list)
    label_events: list[LabelEvent] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return self.heads[-1] if self.heads else ""

    @property
    def place(self) -> str:
        sign = "#" if self.kind == "issues" else "!"
        return f"{self.project.path}{sign}{self.iid}"

    def by(self, author: Person) -> list[Note]:
        """The notes of one person, oldest first."""
        return [one for one in self.notes if one.author is author]


@dataclass(eq=False, kw_only=True)
class LabelEvent:
    """A label that an issue was given."""

    id: int
    user: Person
    label: str
    created_at: datetime


@dataclass(eq=False, kw_only=True)
class Push:
    user: Person
    branch: str
    before: str
    after: str
    created_at: datetime


@dataclass(eq=False, kw_only=True)
class Pipeline:
    """One that failed."""

    id: int
    ref: str
    sha: str
    updated_at: datetime


@dataclass(eq=False, kw_only=True)
class Status:
    """State of a commit, as something outside of GitLab says."""

    id: int
    sha: str
    ref: str
    name: str
    user: Person
    status: str = "created"
    description: str | None = None
    target_url: str | None = None
    allow_failure: bool = False
    trace: str | None = None
    """Of a job of GitLab's own: what it wrote."""


@dataclass(eq=False, kw_only=True)
class Hook:
    url: str
    token: str = ""
    signing_token: str = ""
    note_events: bool = True
    confidential_note_events: bool = True
    emoji_events: bool = True
    other_events: bool = False
    """Of merge requests, pushes, issues and pipelines."""


@dataclass(eq=False, kw_only=True)
class Project:
    id: int
    path: str
    url: str
    visibility: Visibility = "private"
    members: dict[Person, int] = field(default_factory=dict)
    """Level of access of each, inherited ones too."""
    noteables: list[Noteable] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    tokens: list[Person] = field(default_factory=list)
    """The users of its access tokens."""
    pushes: list[Push] = field(default_factory=list)
    pipelines: list[Pipeline] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    archived: bool = False
    empty: bool = False
    git: Path | None = None
    """Where it lies as a bare repository, for tests in which there is git."""

    @property
    def clone_url(self) -> str:
        return f"{self.url}.git"

    def level(self, person: Person) -> int:
        return self.members.get(person, 0)

    def can_read(self, person: Person) -> bool:
        return self.visibility != "private" or self.level(person) >= GUEST

    def shown(self, sha: str, name: str) -> Status | None:
        """The state of a commit by one name, as its page shows it."""
        found = [one for one in self.statuses if (one.sha, one.name) == (sha, name)]
        return found[-1] if found else None
