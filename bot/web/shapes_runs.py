"""The shapes of the API about runs."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from bot.automate.runs.tally import Status
from bot.store.states import TargetState
from bot.web.shapes import Given, Taken


class Counts(Given):
    """Targets by state."""

    done: int
    running: int
    failed: int
    waiting: int
    skipped: int
    stopped: int
    total: int


class ListedRun(Given):
    """A run, as lists have it."""

    run: str
    name: str
    automation: str | None = Field(description="short id of what it is a firing of")
    project: str
    status: Status
    counts: Counts
    trigger: str = Field(description="the kind of what began it")
    by: str | None = Field(description="who began it by hand")
    runs_as: str
    created_at: datetime
    settled_at: datetime | None


class Runs(Given):
    """Runs, the newest first."""

    runs: list[ListedRun]


class Report(Given):
    """A place where a run reports."""

    place: str
    why: str = Field(description="why it does not; empty: it does")


class Pull(Given):
    """A pull request."""

    repository: str
    number: int
    url: str
    state: str = Field(description="open, merged or closed")
    draft: bool


class Run(ListedRun):
    """A run: how far it is, and what it came to by now."""

    cost_usd: float = Field(description="what models cost, all attempts together")
    eta_seconds: float | None = Field(description="in about so many it is over; none: not known")
    questions: int = Field(description="targets whose agent waits for a person")
    reports: int = Field(description="targets that report something")
    pull_requests: dict[str, int] = Field(description="how many, by state")
    stopped: str = Field(description="why it was stopped; empty: it was not")
    session: str | None = Field(description="whose replies continue it")
    facts: dict[str, Any] = Field(description="what is known of what began it")
    report_to: list[Report]


class Target(Given):
    """Something that a run works on."""

    place: int
    repository: str
    project: str | None
    state: TargetState
    why: str
    attempt: int
    session: str | None
    branch: str | None
    outcome: str | None = Field(description="of its last step")
    report: str
    asks: bool = Field(description="its agent waits for a person")
    can_rerun: bool = Field(description="it is over, and there is a project to work in")
    pull_requests: list[Pull]
    cost_usd: float
    seconds: float | None
    started_at: datetime | None
    ended_at: datetime | None


class Targets(Given):
    """Targets in the order of their places."""

    targets: list[Target]
    hidden: int = Field(description="those between that are of projects you may not read")
    next: int | None = Field(description="pass it as `after` to read on; none: that was all")


class Export(Given):
    """A run with all its targets."""

    run: Run
    targets: list[Target]
    hidden: int


class Again(Taken):
    """Which targets are run again."""

    which: Literal["failed", "all"] | int = Field(
        default="failed", description="`failed`: all that came to no good end; or one's place"
    )
