"""The shapes of the API about automations."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from bot.automate.files.yaml_tree import BYTES_MAX
from bot.web.shapes import Given, Taken

_SOURCE = "YAML or JSON, see docs/automations.md"


class NewAutomation(Taken):
    """An automation to keep; it counts at once."""

    project: str
    source: str = Field(min_length=1, max_length=BYTES_MAX, description=_SOURCE)


class AutomationChange(Taken):
    """What it is to say instead."""

    source: str = Field(min_length=1, max_length=BYTES_MAX, description=_SOURCE)


class Approval(Taken):
    """What somebody saw and approves."""

    digest: str = Field(
        min_length=12, max_length=64, description="`proposed_digest`, or its first 12 characters"
    )


class Difference(Given):
    """One part that what is proposed would change."""

    at: str
    before: str = Field(description="YAML; empty: there is none")
    after: str
    told: str


class Trigger(Given):
    """One of the triggers that count."""

    trigger: str
    kind: str
    said: str
    next: datetime | None = Field(description="of cron and at")
    address: str = Field(description="of a webhook; empty: it has none")


class LastRun(Given):
    """One of its last runs."""

    run: str
    began_at: datetime
    targets: dict[str, int] = Field(description="how many there are in each state")


class Dropped(Given):
    """Something that happened and made no run."""

    at: datetime
    why: str = Field(description="such as `overlap`, see docs/automation-triggers.md")


class Automation(Given):
    """What is done by itself."""

    automation: str
    name: str
    project: str
    path: str = Field(description="of its file; empty: it was made here")
    commit: str
    state: Literal["proposed", "active", "paused"]
    why: str = Field(description="why it is paused")
    description: str
    source: str = Field(description="what counts, as YAML; empty: nothing was approved yet")
    digest: str
    proposed: str = Field(description="what waits for approval, as YAML; empty: nothing does")
    proposed_digest: str
    differences: list[Difference]
    triggers: list[Trigger]
    when: list[str] = Field(description="what fires it; of a proposal, what would")
    next: datetime | None
    runs_as: str | None
    approved_by: str | None
    approved_at: datetime | None
    runs: list[LastRun]
    dropped: list[Dropped] = Field(description="the last events that made no run")


class FolderFile(Given):
    """A file beside those that say what an automation is."""

    project: str
    path: str
    kind: Literal["wrong", "other"] = Field(description="wrong: a file of ours with mistakes")
    said: list[str]


class Unread(Given):
    """A repository whose folder could not be read."""

    project: str
    problem: str


class Automations(Given):
    """The automations that the reader may see, and what else lies in their folders."""

    automations: list[Automation]
    files: list[FolderFile]
    unread: list[Unread]


class Hook(Given):
    """A webhook whose secret is shown this once."""

    trigger: str
    address: str
    secret: str
    sealed: bool = Field(description="by Vault; else whoever reads the database can read it")


class Counts(Given):
    """What counts from now on."""

    automation: str
    text: str
    webhooks: list[Hook]


class BegunRun(Given):
    """What came of it."""

    run: str = Field(description="empty: none has begun")
    why: str
    text: str


class PreviewTarget(Given):
    """One thing it would work on."""

    name: str
    why: str = Field(description="why nothing would be done for it; empty: something would")


class Preview(Given):
    """What would run now."""

    automation: str
    name: str
    text: str
    why: str
    runs_as: str
    when: list[str] = Field(description="what fires each trigger, with all that it asks for")
    steps: list[str]
    targets: list[PreviewTarget]
    next: list[datetime]
