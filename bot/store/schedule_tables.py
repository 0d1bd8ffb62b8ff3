"""Tables of the clock: schedules, their firings, and reminders; they share the metadata of
`bot.store.models`. When something is due is decided in `scheduler.schedule`.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, ForeignKey, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from bot.store.columns import flag, json_of, moment, own_id, owned_by, state_of, words
from bot.store.states import FiringState, ScheduleState


class Schedule(SQLModel, table=True):
    """When something is due, and when it is next."""

    id: UUID = own_id()
    rule: dict[str, Any] = json_of("{}")
    """As `scheduler.rules.kept` writes it."""
    zone: str
    """IANA name."""
    starts_at: datetime | None = moment()
    ends_at: datetime | None = moment()
    jitter_seconds: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    misfire: str = Field(default="late", sa_column_kwargs={"server_default": "late"})
    """`late` or `skip`."""
    grace_seconds: float = Field(default=60, sa_column_kwargs={"server_default": "60"})
    state: ScheduleState = state_of(ScheduleState, ScheduleState.ACTIVE)
    why: str = words()
    """Why it is paused."""
    due_at: datetime | None = moment()
    """The first due moment for which there is no firing yet."""
    fire_at: datetime | None = moment()
    """The same with its jitter."""
    created_at: datetime = moment(now=True)

    __table_args__ = (
        Index("ix_schedule_fire_at", "fire_at", postgresql_where=text("state = 'active'")),
    )


class Firing(SQLModel, table=True):
    """One due moment of a schedule, and what became of it."""

    id: UUID = own_id()
    schedule_id: UUID = owned_by("schedule.id", index=False)
    due_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    state: FiringState = state_of(FiringState, FiringState.DUE)
    missed: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Due moments before it for which nothing was done."""
    why: str = words()
    """Why nothing was done, or not yet."""
    act_at: datetime = moment(now=True)
    """Not to be acted on before: quiet hours, or another try."""
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    prompt_id: UUID | None = None
    """What an agent was asked because of it. No key: it outlives the prompt's session."""
    fired_at: datetime = moment(now=True)
    ended_at: datetime | None = moment()

    __table_args__ = (
        UniqueConstraint("schedule_id", "due_at"),
        Index("ix_firing_due", "act_at", postgresql_where=text("state = 'due'")),
    )


class Reminder(SQLModel, table=True):
    """What a schedule says to somebody: words, or what an agent answers to them at that time."""

    id: UUID = own_id()
    short: str = Field(unique=True)
    schedule_id: UUID = owned_by("schedule.id", index=False, unique=True)
    creator_id: UUID = owned_by("person.id")
    project_id: UUID = owned_by("project.id")
    session_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("session.id", ondelete="SET NULL"), nullable=True, index=True),
    )
    """The session in which it was set; None: it was deleted."""
    thread_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("thread.id", ondelete="SET NULL"), nullable=True, index=True),
    )
    """The thread of it in which it was set."""
    what: str
    is_prompt: bool = flag()
    """An agent answers it when it is due."""
    only_changed: bool = flag()
    """Nothing is posted while its answer says the same as the one before."""
    by_agent: bool = flag()
    """The agent of its session set it, for its creator."""
    last_answer: str = words()
    """What was posted last."""
    answered_at: datetime | None = moment()
    said: str = words()
    """The words of its time."""
    targets: list[dict[str, str]] = json_of("[]")
    """Of each place it is posted to: `thread`, its id; `notify`, who is notified there, as the
    surface calls them, with commas between; `channel`, the address of the channel it is in;
    `everybody`: it is for whoever reads there; `alone`: who reads there alone. Those that are empty
    are left out."""
    quiet: str = words()
    """Hours in which nothing is posted, as `22:00-07:00` in the schedule's zone; empty: none."""
    language: str = words()
    """The shipped locale of its creator."""
    snoozed_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("reminder.id", ondelete="CASCADE"), nullable=True, index=True),
    )
    """The reminder of which it is one that was put off."""
    created_at: datetime = moment(now=True)
