"""The shapes of the API about policies and the audit."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from bot.govern.policy_text import SOURCE_CHARACTERS_MAX
from bot.web.shapes import Given, Taken


class PolicyLine(Given):
    """One line that counts."""

    line: str
    allow: bool
    service: bool = Field(description="any protocol over TCP, and not the web's alone")
    source: str = Field(description="where it stands")


class PolicyText(Given):
    """A version of a project's policy."""

    project: str
    version: int = Field(description="0: there is none")
    name: str
    source: str
    set_at: datetime | None
    set_by: str | None


class ProjectPolicy(PolicyText):
    """A version of a project's policy, and the installation's lines that count besides."""

    installation: list[PolicyLine]


class Versions(Given):
    """The versions of a project's policy, the newest first."""

    versions: list[PolicyText]


class Installation(Given):
    """The lines that count for every project."""

    lines: list[PolicyLine]


class NewPolicy(Taken):
    """A policy to set."""

    source: str = Field(max_length=SOURCE_CHARACTERS_MAX, description="TOML, see docs/policy.md")
    name: str = Field(default="policy.toml", max_length=200, description="of the file")


class SetPolicy(Given):
    """What was set."""

    project: str
    version: int


class Tested(Given):
    """What a policy says of a destination."""

    allowed: bool
    reason: str = Field(description="one sentence: by which line, or what would allow it")
    line: str | None
    source: str | None = Field(description="where that line stands")
    version: int = Field(description="of the project's own policy; 0: it has none")


class AuditEvent(Given):
    """Something that happened."""

    at: datetime
    source: Literal["audit", "session"] = Field(
        description="audit: recorded for the audit; session: an event of that session"
    )
    number: int
    kind: str
    person_id: str | None
    who: str
    surface: str
    place: str
    session: str | None
    project: str | None
    outcome: str
    private: bool = Field(description="of a session that is private to somebody else: no body")
    body: dict[str, Any]


class Audit(Given):
    """What happened, the newest first."""

    events: list[AuditEvent]
    since: datetime


class Head(Given):
    """The newest batch of the chain."""

    number: int
    digest: str


class Verified(Given):
    """How far the chain was looked at."""

    through: int = Field(description="pass it as `after` to go on")
    digest: str
    batches: int
    rows: int
    deleted: int = Field(description="rows whose session was deleted, as the audit says")
    done: bool
    problem: str = Field(description="the first thing that is wrong; empty: nothing")
    unsealed: int = Field(description="rows that no batch has yet")
