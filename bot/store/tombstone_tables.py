"""Tables of what stays of sessions that were deleted: where a word of it has to go."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from bot.store.columns import moment, own_id, owned_by


class Tombstone(SQLModel, table=True):
    """What is left of a deleted session."""

    id: UUID = own_id()
    session_id: UUID = Field(unique=True)
    """It is gone, or about to be."""
    short: str = Field(unique=True)
    by_id: UUID | None = Field(default=None, foreign_key="person.id")
    """None: ona did, because its project keeps it no longer."""
    name: str
    """Of who deleted it."""
    at: datetime = moment(now=True)
    finished_at: datetime | None = moment()
    """Since when nothing of it is left."""


class TombstoneThread(SQLModel, table=True):
    """A thread that a deleted session had; one with another session since is told of nothing."""

    __tablename__ = "tombstone_thread"

    surface: str = Field(primary_key=True)
    place: str = Field(primary_key=True)
    tombstone_id: UUID = owned_by("tombstone.id")
    shown: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """The surface still shows in its own way what goes on in the session."""


class TombstonePost(SQLModel, table=True):
    """A post or sign of a deleted session that still says that it works or waits."""

    __tablename__ = "tombstone_post"

    id: UUID = Field(primary_key=True)
    """Of the reply that it was: the post's mark."""
    surface: str
    place: str
    tombstone_id: UUID = owned_by("tombstone.id")
    kind: str
    """`live` or `reaction`."""
    ref: str | None = None
    """Of the post, or of the message that bears the sign; None: it was under way."""
    language: str = Field(default="", sa_column_kwargs={"server_default": ""})
