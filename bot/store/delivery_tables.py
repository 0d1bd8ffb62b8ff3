"""Tables of what turns deliver to code hosts: branches, pull requests, their checks."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from bot.store.columns import moment, own_id, owned_by


class Branch(SQLModel, table=True):
    """A branch of a session on a forge, as the session last saw it there."""

    session_id: UUID = Field(
        sa_column=Column(ForeignKey("session.id", ondelete="CASCADE"), primary_key=True)
    )
    repository: str = Field(primary_key=True)
    """`surface:host/name`, in lower case."""
    ref: str = Field(primary_key=True)
    """Whole: `refs/heads/…`."""
    commit: str
    seen_at: datetime = moment(now=True)
    told: str | None = None
    """The commit of which people were told last that it was delivered; None: of none."""


class PullRequest(SQLModel, table=True):
    """A pull request of a session's branch, as it was last seen."""

    __tablename__ = "pull_request"

    id: UUID = own_id()
    session_id: UUID = owned_by("session.id")
    surface: str
    """Of its forge."""
    repository: str
    """As the forge spells it."""
    number: int
    url: str
    state: str
    """`open`, `closed` or `merged`."""
    draft: bool
    head: str
    """The branch, without `refs/heads/`."""
    base: str
    opened_by: str
    """The login of who opened it."""
    asker_id: UUID = Field(foreign_key="person.id")
    """Whose prompt it was opened for."""
    by_asker: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Their own token opened it; else we did."""
    offer: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """They are still to be told, in private, that the next ones can be theirs."""
    created_at: datetime = moment(now=True)
    seen_at: datetime = moment(now=True)

    __table_args__ = (UniqueConstraint("surface", "repository", "number"),)


class CiWatch(SQLModel, table=True):
    """A commit that a turn pushed, whose checks on its forge are followed."""

    __tablename__ = "ci_watch"

    session_id: UUID = Field(
        sa_column=Column(ForeignKey("session.id", ondelete="CASCADE"), primary_key=True)
    )
    repository: str = Field(primary_key=True)
    """`surface:host/name`, in lower case."""
    ref: str = Field(primary_key=True)
    """Whole: `refs/heads/…`."""
    commit: str
    turn_id: UUID = owned_by("turn.id")
    rounds: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Prompts in a row that failed checks made."""
    told: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Key of what was said or asked about its checks last."""
    state: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Of its checks, as they were seen last: `running`, `passed`, `failed`; empty: there are none,
    or they say nothing."""
    over: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """They are not followed any more."""
    since: datetime = moment(now=True)
    due_at: datetime = moment(now=True)

    __table_args__ = (Index("ix_ci_watch_due", "due_at", postgresql_where=text("NOT over")),)
