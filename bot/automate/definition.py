"""What an automation is, as its file or the page of it says: the models that everything reads.

Nothing here knows rows or files. What is said of a field is what the published JSON Schema says of
it, so that an editor shows it.
"""

import hashlib
import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

from bot.words.catalogue import N_

SCHEMA = "ona/automation/v1"
"""What `schema:` says in a file that is ours."""
NAME_LENGTH_MAX = 63
TRIGGERS_MAX = 20
STEPS_MAX = 20
TEXT_LENGTH_MAX = 8_000
TARGETS_MAX = 1_000
PARALLEL_MAX = 100
FILTERS_MAX = 20
YEARS = range(2000, 2200)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

PullRequestEvent = Literal[
    "opened", "updated", "ready", "approved", "merged", "closed", "review_requested"
]
Outcome = Literal["succeeded", "failed", "stopped"]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(N_("a time zone such as Europe/Berlin")) from error
    return name


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            N_("letters, digits, dots, dashes and underscores, a letter or a digit first")
        )
    return name


def _soon(moment: datetime) -> datetime:
    # Nearer to the ends of the calendar there is no time in other zones, and no next one.
    if moment.year not in YEARS:
        raise ValueError(N_("a moment from the year 2000 to 2199"))
    return moment


Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX), AfterValidator(_named)]
Zone = Annotated[str, AfterValidator(_zone)]
Moment = Annotated[datetime, AfterValidator(_soon)]
Words = Annotated[str, Field(min_length=1, max_length=TEXT_LENGTH_MAX)]
_Short = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[tuple[_Short, ...], Field(max_length=FILTERS_MAX)]

_EMPTY = BeforeValidator(lambda said: {} if said is None else said)
"""`push:` with nothing behind it is meant."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Cron(_Part):
    """At the times of a cron expression."""

    cron: Annotated[str, Field(max_length=200)]
    """Five fields: minute, hour, day of the month, month, day of the week."""
    zone: Zone = "UTC"
    """IANA name of the time zone that the fields are in."""
    jitter_minutes: Annotated[int, Field(ge=0, le=60)] = 0
    """Each time is put off by up to so many minutes, always by the same."""
    misfire: Literal["late", "skip"] = "late"
    """What is missed while nothing runs here is done once, late, or not at all."""
    starts: Moment | None = None
    """Not before that moment, as 2026-12-24T09:00, in the zone unless it names an offset."""
    ends: Moment | None = None
    """Nor after that one."""


class At(_Part):
    """Once, at a moment."""

    at: Moment
    """As 2026-12-24T09:00, in the zone unless it names an offset."""
    zone: Zone = "UTC"


class WebhookOptions(_Part):
    """Which of its deliveries count."""

    filter: dict[str, JsonValue] = Field(default_factory=dict, max_length=FILTERS_MAX)
    """Dotted paths into the JSON body, each with its value or the list of those that count."""


class Webhook(_Part):
    """When its signed address is called."""

    webhook: Annotated[WebhookOptions, _EMPTY]


class PullRequestTrigger(_Part):
    """When something happens to a pull request."""

    pull_request: Annotated[tuple[PullRequestEvent, ...], Field(min_length=1)]
    branches: Names = ()
    """Branches that it is to be merged into, as patterns; none: all."""
    labels: Names = ()
    """It must have one of these; none: that does not matter."""
    authors: Names = ()
    """Logins; none: anybody who may write to the repository."""
    drafts: bool = False
    """Drafts count too."""


class PushOptions(_Part):
    """Which pushes count."""

    branches: Names = ()
    """Patterns; none: the default branch."""


class Push(_Part):
    """When commits are pushed."""

    push: Annotated[PushOptions, _EMPTY]


class IssueLabelled(_Part):
    """When an issue is given one of these labels by somebody who may write."""

    issue_labelled: Annotated[tuple[_Short, ...], Field(min_length=1, max_length=FILTERS_MAX)]


class CiFailedOptions(_Part):
    """Which failures count."""

    branches: Names = ()
    """Patterns; none: the default branch."""


class CiFailed(_Part):
    """When the checks of a branch fail."""

    ci_failed: Annotated[CiFailedOptions, _EMPTY]


class MessageOptions(_Part):
    """Which messages count."""

    channel: Annotated[str, Field(min_length=3, max_length=200)]
    """`slack:#name` or `discord:#name`, or its address instead of the name."""
    contains: Names = ()
    """It must contain one of these, in any letter case."""
    matches: Annotated[str, Field(max_length=200)] = ""
    """A regular expression that must be found in it."""
    per_hour_max: Annotated[int, Field(ge=1, le=120)] = 10


class MessageTrigger(_Part):
    """When somebody writes in a channel that is watched."""

    message: MessageOptions


class AfterOptions(_Part):
    """Which run."""

    automation: Name
    """Of the same project."""
    outcomes: tuple[Outcome, ...] = ("succeeded",)


class After(_Part):
    """When a run of another automation has come to its end."""

    after: AfterOptions


Trigger = (
    Cron
    | At
    | Webhook
    | PullRequestTrigger
    | Push
    | IssueLabelled
    | CiFailed
    | MessageTrigger
    | After
)
KINDS: dict[type[BaseModel], str] = {
    Cron: "cron",
    At: "at",
    Webhook: "webhook",
    PullRequestTrigger: "pull_request",
    Push: "push",
    IssueLabelled: "issue_labelled",
    CiFailed: "ci_failed",
    MessageTrigger: "message",
    After: "after",
}
"""The key that tells a trigger's kind."""


class Search(_Part):
    """Repositories that a code host finds."""

    forge: Literal["github", "gitlab"]
    query: Words
    """In the words of that host's repository search."""


class Context(_Part):
    """What a run works on: one session for each; none of these: the automation's own project."""

    projects: Annotated[tuple[_Short, ...], Field(max_length=TARGETS_MAX)] = ()
    repositories: Annotated[tuple[_Short, ...], Field(max_length=TARGETS_MAX)] = ()
    """`owner/name` or addresses."""
    search: Search | None = None
    add_projects: bool = False
    """A repository that has no project is given one, if who it runs as may."""


class PromptStep(_Part):
    """An agent is asked."""

    prompt: Words


class ShellStep(_Part):
    """A command runs in the machine; another exit status than 0 fails the target."""

    run: Words


class PullRequestOptions(_Part):
    """How it is opened."""

    title: Annotated[str, Field(max_length=250)] = ""
    """None: as the change says."""
    body: Annotated[str, Field(max_length=TEXT_LENGTH_MAX)] = ""
    draft: bool | None = None
    """None: as the project's policy says."""


class PullRequestStep(_Part):
    """What was changed so far is brought to the code host; without one it stays in the machine."""

    pull_request: Annotated[PullRequestOptions, _EMPTY]


class ReportOptions(_Part):
    """What is reported of a target."""

    title: Annotated[str, Field(max_length=200)] = ""


class ReportStep(_Part):
    """What the last step said is what is reported of the target."""

    report: Annotated[ReportOptions, _EMPTY]


class PostOptions(_Part):
    """What is posted where."""

    to: Annotated[str, Field(max_length=200)] = ""
    """A place as in `report_to`; none: where it reports."""
    text: Annotated[str, Field(max_length=TEXT_LENGTH_MAX)] = ""
    """None: what the last step said."""


class PostStep(_Part):
    """Words are posted at once."""

    post: Annotated[PostOptions, _EMPTY]


Step = PromptStep | ShellStep | PullRequestStep | ReportStep | PostStep
STEP_KINDS: dict[type[BaseModel], str] = {
    PromptStep: "prompt",
    ShellStep: "run",
    PullRequestStep: "pull_request",
    ReportStep: "report",
    PostStep: "post",
}


class Limits(_Part):
    """What bounds a run."""

    parallel: Annotated[int, Field(ge=1, le=PARALLEL_MAX)] = 5
    """Targets at once."""
    targets: Annotated[int, Field(ge=1, le=TARGETS_MAX)] = 100
    """Of one run; a run that would have more is refused whole."""
    target_minutes: Annotated[int, Field(ge=1, le=1_440)] = 60
    """A target that takes longer, from when its first step begins, is stopped and has failed."""
    minutes: Annotated[int, Field(ge=1, le=10_080)] = 720
    """A run that takes longer is stopped."""
    money: Annotated[Decimal, Field(gt=0, le=100_000)] | None = None
    """Dollars that the whole run may cost; none: what budgets allow."""
    runs_per_hour: Annotated[int, Field(ge=1, le=1_000)] = 20
    """More triggers than that within an hour make no runs, which is said once."""


class Definition(_Part):
    """An automation."""

    name: Name
    description: Annotated[str, Field(max_length=1_000)] = ""
    triggers: Annotated[tuple[Trigger, ...], Field(max_length=TRIGGERS_MAX)] = ()
    """None: it runs only when somebody says so."""
    context: Context = Context()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=STEPS_MAX)]
    """In this order, in one machine for each target."""
    limits: Limits = Limits()
    overlap: Literal["skip", "queue", "cancel"] = "skip"
    """When it is to run while a run of it goes on: not at all, afterwards, or instead."""
    runs_as: Annotated[str, Field(max_length=200)] = ""
    """Name of the person or service account in whose name it works; none: who approved it."""
    report_to: Names = ()
    """Places: `slack:#name`, `discord:#name`; none: the page of the run alone."""
    report: Literal["always", "actionable"] = "actionable"
    """`actionable`: nothing is posted about a run that changed nothing and had nothing to say."""
    agent: Annotated[str, Field(max_length=63)] = ""
    model: Annotated[str, Field(max_length=200)] = ""
    size: Annotated[str, Field(max_length=63)] = ""
    """Of its machines."""
    coalesce_seconds: Annotated[int, Field(ge=0, le=3_600)] = 30
    """Events about the same thing within that time make one run."""

    @model_validator(mode="after")
    def _steps_fit(self) -> "Definition":
        if not any(isinstance(step, PromptStep | ShellStep) for step in self.steps):
            raise ValueError(N_("a step with `prompt:` or `run:`, as the others do no work"))
        return self

    @property
    def delivers(self) -> bool:
        """Whether anything that its steps change leaves their machines."""
        return any(isinstance(step, PullRequestStep) for step in self.steps)


def kept(definition: Definition) -> dict[str, Any]:
    """As a row keeps it."""
    return definition.model_dump(mode="json", exclude_defaults=True)


def restored(row: dict[str, Any]) -> Definition:
    """What a row keeps. :raises ValueError: it can't be read any more"""
    return Definition.model_validate(row)


def digest(definition: Definition) -> str:
    """What an approval is about: everything but how it is described."""
    guarded = {name: value for name, value in kept(definition).items() if name != "description"}
    return hashlib.sha256(json.dumps(guarded, sort_keys=True).encode()).hexdigest()


def kind_of(trigger: Trigger) -> str:
    """Its key in the file."""
    return KINDS[type(trigger)]


def step_kind(step: Step) -> str:
    """Its key in the file."""
    return STEP_KINDS[type(step)]
