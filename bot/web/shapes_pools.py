"""What the API gives of templates and pools."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from bot.web.shapes import Given, Guessed


class TemplateStep(Given):
    """One step of a template's build."""

    step: str
    seconds: float
    exit_status: int
    output: str
    guessed_from: str | None = Field(
        default=None, description="file of the repository that it was guessed from, if it was"
    )


class Again(Given):
    """When a template is tried again that failed."""

    why: str = Field(description="it is to be built")
    failures: int = Field(description="builds of the same that failed in a row")
    not_before: datetime | None = Field(description="none: as soon as those ahead are built")
    ahead: int | None = Field(description="how many are built before it")


class WaitingTemplate(Again):
    """A template that is to be built, and is not begun yet."""

    project: str
    size: str
    host: str | None = Field(description="none: no host says anything of it")
    ahead: int | None = Field(description="how many are built before it; none: no host says")


class Template(Given):
    """What machines of a project and size are made from on a host."""

    id: UUID
    short: str
    project: str | None
    size: str
    state: str
    commit: str
    note: str | None = Field(description="why it failed or went; the step under way")
    step_number: int = Field(description="of the step that its build began last, from 1")
    step_count: int | None = Field(description="how many there are; none: not known yet")
    host: str
    fingerprint: str
    build_seconds: float
    guessed: list[Guessed] = Field(description="what of its set-up was guessed")
    again: Again | None = Field(description="if it failed and is tried again")
    created_at: datetime
    changed_at: datetime


class Templates(Given):
    """Templates, those that machines are made of first."""

    templates: list[Template]
    waiting: list[WaitingTemplate] = Field(description="not begun yet, in their order")


class TemplateWithLog(Template):
    """A template and how it was built."""

    steps: list[TemplateStep]


class Pool(Given):
    """The machines of one project and size that wait on a host."""

    project: str | None
    size: str
    host: str
    hot: int
    hot_target: int
    cold: int
    cold_target: int
    making: int
    why: str = Field(description="how it stands and why, in one sentence")
    held: str | None = Field(description="why no more are made, if so")
    handouts: int = Field(description="machines given to sessions in the last seven days")
    hits: int = Field(description="of these, how many were hot")
    cold_handouts: int = Field(description="of these, how many were cold")
    boots: int = Field(description="of these, how many were booted, because none waited")
    hit_ratio: float | None = Field(description="hits of all that were handed out, 0 to 1")
    seconds_hot: float | None = Field(description="median of a hot machine's hand-out")
    seconds_cold: float | None
    seconds_boot: float | None
    refill_seconds: float
    template: UUID | None = Field(description="the newest one that was built for it or failed")
    changed_at: datetime


class Pools(Given):
    """Pools by project and size."""

    pools: list[Pool]


class WaitingMachine(Given):
    """One machine that waits to be handed out."""

    short: str
    project: str | None
    size: str
    host: str
    tier: str = Field(description="hot, cold, or being made")
    since: datetime = Field(description="when it came to be where it is")
    why: str | None = Field(description="why it is where it is")
    private_mib: int | None = Field(description="memory of its own, as last measured")


class WaitingMachines(Given):
    """Machines that wait, by pool, those that are handed out first first."""

    machines: list[WaitingMachine]
