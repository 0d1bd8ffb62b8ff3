"""Tables of automations, their triggers, and their runs with the targets of each.

What an automation says is in `bot.automate.definition`; when one is due, in
`bot.store.schedule_tables`. How far a run is, nobody stores: it is counted from its targets.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from bot.store.columns import json_of, moment, named, own_id, owned_by, state_of, words
from bot.store.states import AutomationState, TargetState


class Automation(SQLModel, table=True):
    """What is done by itself, as a file of a repository or a person here says."""

    id: UUID = own_id()
    short: str = Field(unique=True)
    """`a-…`."""
    project_id: UUID = owned_by("project.id")
    """Whose repository its file is in, or whose people made it."""
    name: str
    path: str = words()
    """Of its file in the repository; empty: it was made here."""
    commit: str = words()
    """In which its file was read last."""
    definition: dict[str, Any] = json_of("{}")
    """What counts, as `bot.automate.definition.kept` writes it; {}: nothing was approved yet."""
    digest: str = words()
    """Of the definition that counts."""
    proposed: dict[str, Any] = json_of("{}")
    """What its file says and nobody has approved yet; {}: the same as what counts."""
    proposed_digest: str = words()
    state: AutomationState = state_of(AutomationState, AutomationState.PROPOSED)
    why: str = words()
    """Why it is paused: `person`, `failures`, `runs_as` or what can't be read."""
    failures: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Runs in a row that failed."""
    creator_id: UUID | None = named("person.id")
    """Who made it here; None: a file did."""
    approved_by: UUID | None = named("person.id", index=False)
    approved_at: datetime | None = moment()
    runs_as_id: UUID | None = named("person.id")
    """The person or service account in whose name it works."""
    created_at: datetime = moment(now=True)
    changed_at: datetime = moment(now=True)

    __table_args__ = (
        Index(
            "uq_automation_name",
            "project_id",
            "name",
            unique=True,
            postgresql_where=text("state <> 'removed'"),
        ),
    )


class AutomationFolder(SQLModel, table=True):
    """The folder of automations in a project's repository: what was found there last."""

    __tablename__ = "automation_folder"

    id: UUID = own_id()
    project_id: UUID = owned_by("project.id", index=False, unique=True)
    commit: str = words()
    """At which it was read last; empty: it never was."""
    files: list[dict[str, Any]] = json_of("[]")
    """{path, kind, name, said} of each; see `bot.automate.files.syncing`."""
    problem: dict[str, Any] = json_of("{}")
    """The message that says why it could not be read; {}: it could."""
    as_of: datetime | None = moment()
    """When the fetch began of which what was read came."""
    read_at: datetime | None = moment()
    look_at: datetime = moment(now=True)
    """When it is to be read next."""

    __table_args__ = (Index("ix_automation_folder_look_at", "look_at"),)


class AutomationTrigger(SQLModel, table=True):
    """One of the triggers that count of an automation."""

    __tablename__ = "automation_trigger"

    id: UUID = own_id()
    short: str = Field(unique=True)
    """`t-…`: the address of a webhook ends with it."""
    automation_id: UUID = owned_by("automation.id")
    place: int
    """In its definition, from 0."""
    kind: str
    """As `bot.automate.definition.KINDS` names it."""
    options: dict[str, Any] = json_of("{}")
    """The trigger, as its definition has it."""
    schedule_id: UUID | None = named("schedule.id")
    """Of `cron` and `at`."""
    sealed: str = words()
    """Of `webhook`: its deliveries' secret, as `bot.automate.triggers.hook_secrets` keeps it."""
    match: str = words()
    """What events are looked up by, such as `slack:C024BE91L` of a watched channel."""
    created_at: datetime = moment(now=True)

    __table_args__ = (
        UniqueConstraint("automation_id", "place"),
        Index("ix_automation_trigger_kind", "kind", "match"),
    )


class TriggerEvent(SQLModel, table=True):
    """Something that happened and that a trigger is about; becomes a run, or the reason why not."""

    __tablename__ = "trigger_event"

    id: UUID = own_id()
    trigger_id: UUID = owned_by("automation_trigger.id", index=False)
    key: str
    """Unique within the trigger: what makes two deliveries the same event."""
    about: str = words()
    """What events are coalesced by, such as `github:owner/name#12`; empty: by nothing."""
    facts: dict[str, Any] = json_of("{}")
    """What is known of it; untrusted: shown to agents as quoted material only."""
    repository: str = words()
    """Address of the repository it happened in; empty: none."""
    state: str = Field(default="waiting", sa_column_kwargs={"server_default": "waiting"})
    """`waiting`, `taken` into a run, or `dropped`."""
    why: str = words()
    """Why it was dropped (`loop`, `rate`, `overlap`, `paused`, `coalesced`, `failed`, or as
    `bot.automate.runs.beginning` says why there is no run), or waits (`queued`, `halted`)."""
    run_id: UUID | None = named("run.id")
    into_id: UUID | None = named("trigger_event.id")
    """Of `coalesced`: the event that stands for it."""
    cause_id: UUID | None = named("run.id")
    """The run that brought it about; None: none did, as far as is known."""
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """To begin its run."""
    held_until: datetime | None = moment()
    """Somebody begins its run until then."""
    act_at: datetime = moment(now=True)
    """Not before: more about the same may come."""
    created_at: datetime = moment(now=True)

    __table_args__ = (
        UniqueConstraint("trigger_id", "key"),
        Index("ix_trigger_event_recent", "trigger_id", "created_at"),
        Index("ix_trigger_event_due", "act_at", postgresql_where=text("state = 'waiting'")),
    )


class AutomationNotice(SQLModel, table=True):
    """Something that the places where an automation reports have to hear, once."""

    __tablename__ = "automation_notice"

    id: UUID = own_id()
    automation_id: UUID = owned_by("automation.id", index=False)
    key: str
    """What makes two of them the same."""
    said: dict[str, Any] = json_of("{}")
    """As `bot.words.catalogue.kept` writes it."""
    created_at: datetime = moment(now=True)
    told_at: datetime | None = moment()

    __table_args__ = (
        UniqueConstraint("automation_id", "key"),
        Index(
            "ix_automation_notice_untold", "created_at", postgresql_where=text("told_at IS NULL")
        ),
    )


class Run(SQLModel, table=True):
    """One firing of an automation, or work over many targets that somebody began by hand."""

    id: UUID = own_id()
    short: str = Field(unique=True)
    """`run-…`."""
    automation_id: UUID | None = named("automation.id")
    project_id: UUID = owned_by("project.id")
    name: str
    """Of the automation, or what somebody called it."""
    definition: dict[str, Any] = json_of("{}")
    """As it was when the run began."""
    trigger: dict[str, Any] = json_of("{}")
    """{kind, …facts}: why it runs."""
    key: str
    """What makes two beginnings the same run."""
    runs_as_id: UUID = owned_by("person.id")
    started_by: UUID | None = named("person.id", index=False)
    """Who began it by hand."""
    session_id: UUID | None = named("session.id")
    """Where replies to what it posts go: its only target's, or one of its own."""
    reports: list[dict[str, str]] = json_of("[]")
    """{thread, place} of each place where it reports."""
    stopped_by: UUID | None = named("person.id", index=False)
    stop_why: str = words()
    """`person`, `time`, `money`, `cancelled` by a newer run, `halt`; empty: it is not stopped."""
    look_at: datetime = moment(now=True)
    """When it is to be looked at next."""
    tries: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How often in a row a look at it raised, or what its end asks for."""
    told_at: datetime | None = moment()
    """When its places were told last how far it is; None: never."""
    created_at: datetime = moment(now=True)
    seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    """Of its time, that have passed since it was begun, or run again last; no halt counts, and no
    step of the clock."""
    seen_at: datetime = moment(now=True)
    """When it was looked at last: until then its seconds are counted."""
    settled_at: datetime | None = moment()
    """Since when all that its end asks for is done; None again when a target is run again."""

    __table_args__ = (
        UniqueConstraint("automation_id", "key"),
        Index("ix_run_open", "look_at", postgresql_where=text("settled_at IS NULL")),
    )


class RunTarget(SQLModel, table=True):
    """What a run works on, and how far that is; fixed when the run begins."""

    __tablename__ = "run_target"

    id: UUID = own_id()
    run_id: UUID = owned_by("run.id", index=False)
    place: int
    """From 1."""
    project_id: UUID | None = named("project.id")
    repository: str
    """As people call it."""
    url: str = words()
    """Of a repository that is given a project when its turn comes."""
    state: TargetState = state_of(TargetState, TargetState.WAITING)
    why: str = words()
    """Why it failed or was skipped or stopped, for people."""
    attempt: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    session_id: UUID | None = named("session.id")
    earlier: list[str] = json_of("[]")
    """Ids of the sessions of attempts before: what they cost and opened counts too."""
    prompt_id: UUID | None = named("prompt.id")
    """Of the step that runs."""
    step: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Place of the step that runs or is next, from 0."""
    results: list[dict[str, Any]] = Field(
        default_factory=list,
        sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    )
    """{step, kind, outcome, text} of each step that is over."""
    report: str = words()
    """What is reported of it."""
    tries: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How often in a row what is to be done for it raised."""
    try_at: datetime | None = moment()
    """When it is to be tried again; None: nothing is put off."""
    started_at: datetime | None = moment()
    begun_seconds: float | None = None
    """The run's seconds when the turn of its first step was seen; None: it has none yet."""
    ended_at: datetime | None = moment()

    __table_args__ = (
        UniqueConstraint("run_id", "place"),
        Index("ix_run_target_running", "run_id", postgresql_where=text("state = 'running'")),
    )
