"""Tables of what agents ask of us by their tools; `bot.store.models` has all tables."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, ForeignKey, LargeBinary, func
from sqlmodel import Field, SQLModel

from bot.store.ids import new_id


def _moment(*, now: bool = False) -> Any:
    column = Column(
        DateTime(timezone=True), nullable=not now, server_default=func.now() if now else None
    )
    return Field(default=None, sa_column=column)


def _of(column: str, *, key: bool = False, index: bool = False) -> Any:
    """A foreign key whose rows go when what they are of goes."""
    reference = ForeignKey(column, ondelete="CASCADE")
    return Field(sa_column=Column(reference, primary_key=key, nullable=False, index=index))


class Picture(SQLModel, table=True):
    """A picture that a program in a machine uploaded, and perhaps its agent posted."""

    id: UUID = Field(default_factory=new_id, primary_key=True)
    session_id: UUID = _of("session.id", index=True)
    turn_id: UUID = _of("turn.id", index=True)
    media_type: str
    """Found out from its bytes."""
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    caption: str = Field(default="", sa_column_kwargs={"server_default": ""})
    created_at: datetime = _moment(now=True)
    posted_at: datetime | None = _moment()
    """None: it was only uploaded, and nobody sees it."""


class TurnDiff(SQLModel, table=True):
    """What a turn changed in a repository, as it was delivered."""

    __tablename__ = "turn_diff"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    session_id: UUID = _of("session.id", index=True)
    turn_id: UUID = _of("turn.id", index=True)
    name: str
    """Of the file that it becomes."""
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """As `git diff` says it, perhaps only its beginning."""
    created_at: datetime = _moment(now=True)


class PullRequestWish(SQLModel, table=True):
    """What the agent wants its pull request to say; delivery carries it out."""

    __tablename__ = "pull_request_wish"

    session_id: UUID = _of("session.id", key=True)
    repository: str = Field(primary_key=True)
    """Its address, as the project has it."""
    title: str | None = None
    """None: it stays as it is, or delivery words it."""
    body: str | None = None
    """Markdown; as title."""
    draft: bool | None = None
    """None: as the project's policy says."""
    turn_id: UUID | None = Field(
        default=None, sa_column=Column(ForeignKey("turn.id", ondelete="SET NULL"), nullable=True)
    )
    """The one that wished it last."""
    draft_turn_id: UUID | None = Field(
        default=None, sa_column=Column(ForeignKey("turn.id", ondelete="SET NULL"), nullable=True)
    )
    """The one that wished last whether it is a draft."""
    wished_at: datetime = _moment(now=True)


class ChildSession(SQLModel, table=True):
    """A session that the agent of another one started."""

    __tablename__ = "child_session"

    session_id: UUID = _of("session.id", key=True)
    root_id: UUID = _of("session.id", index=True)
    """The session of people that it all began with."""
    parent_id: UUID = _of("session.id", index=True)
    depth: int
    """1: people's own session started it."""
    key: str
    """Of what was asked, within the turn that asked it."""
    created_at: datetime = _moment(now=True)


class Note(SQLModel, table=True):
    """One note of a project's memory, by people and agents."""

    project_id: UUID = _of("project.id", key=True)
    name: str = Field(primary_key=True)
    text: str
    by_id: UUID | None = Field(default=None, foreign_key="person.id")
    """Who wrote it last, or for whom an agent did."""
    session: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Short id of the session whose agent did; empty: the person themselves."""
    updated_at: datetime = _moment(now=True)
