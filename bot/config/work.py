"""The queue, turns and sessions, what they may cost, and what is kept of them."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from bot.config.section import (
    AnyPath,
    Count,
    Dollars,
    Kept,
    Seconds,
    Section,
    check_kept,
    kept_for_people,
)
from vmpool.silence import BREAK_SECONDS, HOST_GRACE_SECONDS


class DatabaseSettings(Section):
    """PostgreSQL: embedded in the data directory, or any 15+ by URL."""

    url: SecretStr | None = Field(
        default=None, description="URL of a PostgreSQL 15+; none: embedded in the data directory"
    )
    connections_max: Count = Field(default=10, description="connections a process may open")


class QueueSettings(Section):
    """Workers and their leases."""

    turns_max: Count = Field(default=4, description="turns that a worker runs at once")
    turns_for_people: Kept | None = Field(
        default=None,
        description="how many of them automations leave free for people; none: a quarter, at least"
        " 1 of several",
    )
    lease_seconds: Seconds = Field(
        default=30, description="life of a session's lease; renewed at a third of it"
    )
    host_grace_seconds: Annotated[float, Field(ge=2 * BREAK_SECONDS, allow_inf_nan=False)] = Field(
        default=HOST_GRACE_SECONDS,
        description="how long a host may be silent before its sessions go on elsewhere, from their"
        f" checkpoints; {2 * BREAK_SECONDS:g} at least; docs/hosts.md",
    )
    poll_seconds: Seconds = Field(
        default=5, description="slow poll that backs up the database's hints"
    )
    finish_seconds: Seconds = Field(
        default=10, description="how long a clean stop waits for turns before it hands them back"
    )

    @model_validator(mode="after")
    def _some_for_automations(self) -> Self:
        check_kept("queue.turns_for_people", self.turns_for_people, self.turns_max)
        return self

    @property
    def kept_for_people(self) -> int:
        """Turns that only people's prompts may begin."""
        return kept_for_people(self.turns_for_people, self.turns_max)


class TurnSettings(Section):
    """What bounds a turn."""

    seconds_max: Seconds = Field(default=3600, description="time limit of a turn")
    prompt_bytes_max: Count = Field(
        default=100_000, le=120_000, description="size of one message; 120,000 at most"
    )
    output_bytes_max: Count = Field(
        default=1024 * 1024, description="output of a turn that is shown; the rest stays in a file"
    )
    question_seconds_max: Seconds = Field(
        default=7 * 86400, description="how long a turn waits for a person's answer"
    )
    repeats_max: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=8,
        description="how often an agent may do the same with the same result, one time after the"
        " other, before a person is asked",
    )


class SessionSettings(Section):
    """What bounds all turns of a session together."""

    seconds_max: Seconds = Field(
        default=7 * 86400, description="time that the turns of a session may run together"
    )
    turns_max: Count = Field(default=1000, description="turns of a session")


class BudgetSettings(Section):
    """What turns may spend on models, in US dollars; what might be spent counts too."""

    session_usd: Dollars | None = Field(default=None, description="of a session; none: no limit")
    person_day_usd: Dollars | None = Field(
        default=None, description="of what one person asks for in a day (UTC); none: no limit"
    )
    project_day_usd: Dollars | None = Field(
        default=None, description="of a project in a day (UTC); none: no limit"
    )


class CheckpointSettings(Section):
    """What of a session survives its machine."""

    bytes_max: Count = Field(
        default=64 * 1024 * 1024, description="size of a checkpoint; the rest is left out"
    )
    inline_bytes_max: Count = Field(
        default=1024 * 1024, description="size up to which it is a row and not a file"
    )
    directory: AnyPath | None = Field(
        default=None,
        description="where larger ones are files; several hosts share it; none: `blobs` in the data"
        " directory; docs/hosts.md",
    )
    file_bytes_max: Count = Field(
        default=16 * 1024 * 1024, description="size of one untracked file in it"
    )
    undo_turns_max: Count = Field(
        default=5, description="last turns of a session that `undo` can take back"
    )


class DeliverySettings(Section):
    """How the work of turns gets to code hosts; what gets there is the projects' policies'."""

    email_domain: str = Field(
        default="users.noreply.ona.invalid",
        pattern=r"^[a-z0-9.-]+$",
        description="domain of the addresses in commits of people without an account on the code"
        " host, and of ona itself",
    )
    bytes_max: Count = Field(
        default=200_000_000, description="size of the commits of one delivery together"
    )
    seconds_max: Seconds = Field(
        default=300, description="how long one push or one fetch of a delivery may take"
    )
    ci_rounds_max: Annotated[int, Field(ge=0)] = Field(
        default=3,
        description="prompts in a row that failed checks of a pushed commit make, before a person"
        " is asked; 0: at once",
    )


class LogSettings(Section):
    """Logs."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, else JSON"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe level that is written"
    )
