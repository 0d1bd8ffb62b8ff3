"""Tables of the clock: schedules, their firings, and reminders; they share the metadata of
`bot.store.models`. When something is due is decided in `scheduler.schedule`.
"""

import enum
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, Enum, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from bot.store.ids import new_id
from bot.store.states import FiringState, ScheduleState


def _key() -> Any:
    return Field(default_factory=new_id, primary_key=True)


def _moment(*, now: bool = False) -> Any:
    default = func.now() if now else None
    column = Column(DateTime(timezone=True), nullable=not now, server_default=default)
    return Field(default=None, sa_column=column)


def _owned_by(column: str, *, index: bool = True, unique: bool = False) -> Any:
    return Field(
        sa_column=Column(
            ForeignKey(column, ondelete="CASCADE"), nullable=False, index=index, unique=unique
        )
    )


def _words() -> Any:
    return Field(default="", sa_column_kwargs={"server_default": ""})


def _flag() -> Any:
    return Field(default=False, sa_column_kwargs={"server_default": "false"})


def _json(empty: str) -> Any:
    return Field(sa_column=Column(JSONB, nullable=False, server_default=text(f"'{empty}'::jsonb")))


def _state(kind: type[enum.StrEnum], first: enum.StrEnum) -> Any:
    column: Column[Any] = Column(
        Enum(
            kind,
            native_enum=False,
            create_constraint=True,
            length=16,
            name=kind.__name__.lower(),
            values_callable=lambda states: [state.value for state in states],
        ),
        nullable=False,
        server_default=first.value,
    )
    return Field(default=first, sa_column=column)


class Schedule(SQLModel, table=True):
    """When something is due, and when it is next."""

    id: UUID = _key()
    rule: dict[str, Any] = _json("{}")
    """As `scheduler.rules.kept` writes it."""
    zone: str
    """IANA name."""
    starts_at: datetime | None = _moment()
    ends_at: datetime | None = _moment()
    jitter_seconds: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    misfire: str = Field(default="late", sa_column_kwargs={"server_default": "late"})
    """`late` or `skip`."""
    grace_seconds: float = Field(default=60, sa_column_kwargs={"server_default": "60"})
    state: ScheduleState = _state(ScheduleState, ScheduleState.ACTIVE)
    why: str = _words()
    """Why it is paused."""
    due_at: datetime | None = _moment()
    """The first due moment for which there is no firing yet."""
    fire_at: datetime | None = _moment()
    """The same with its jitter."""
    created_at: datetime = _moment(now=True)

    __table_args__ = (
        Index("ix_schedule_fire_at", "fire_at", postgresql_where=text("state = 'active'")),
    )


class Firing(SQLModel, table=True):
    """One due moment of a schedule, and what became of it."""

    id: UUID = _key()
    schedule_id: UUID = _owned_by("schedule.id", index=False)
    due_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    state: FiringState = _state(FiringState, FiringState.DUE)
    missed: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Due moments before it for which nothing was done."""
    why: str = _words()
    """Why nothing was done, or not yet."""
    act_at: datetime = _moment(now=True)
    """Not to be acted on before: quiet hours, or another try."""
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    fired_at: datetime = _moment(now=True)
    ended_at: datetime | None = _moment()

    __table_args__ = (
        UniqueConstraint("schedule_id", "due_at"),
        Index("ix_firing_due", "act_at", postgresql_where=text("state = 'due'")),
    )


class Reminder(SQLModel, table=True):
    """What a schedule says to somebody: words, or what an agent answers to them at that time."""

    id: UUID = _key()
    short: str = Field(unique=True)
    schedule_id: UUID = _owned_by("schedule.id", index=False, unique=True)
    creator_id: UUID = _owned_by("person.id")
    project_id: UUID = _owned_by("project.id")
    session_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("session.id", ondelete="SET NULL"), nullable=True, index=True),
    )
    """The session of its posts; None: nothing was posted yet."""
    what: str
    is_prompt: bool = _flag()
    """An agent answers it when it is due."""
    said: str = _words()
    """The words of its time."""
    targets: list[dict[str, str]] = _json("[]")
    """{surface, place, channel, name} of each place it is posted to."""
    quiet: str = _words()
    """Hours in which nothing is posted, as `22:00-07:00` in the schedule's zone; empty: none."""
    language: str = _words()
    """The shipped locale of its creator."""
    snoozed_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("reminder.id", ondelete="CASCADE"), nullable=True, index=True),
    )
    """The reminder of which it is one that was put off."""
    created_at: datetime = _moment(now=True)
