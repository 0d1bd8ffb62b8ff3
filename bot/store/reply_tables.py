"""Tables of replies, of how far surfaces were read and how they stand, and of who leads."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, Index, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from bot.store.columns import counter, json_of, moment, own_id, owned_by, state_of
from bot.store.states import ReplyState


class Reply(SQLModel, table=True):
    """Something we post to a thread: a row of the outbox."""

    id: UUID = own_id()
    """Also the mark by which the surface finds it again."""
    thread_id: UUID = owned_by("thread.id")
    turn_id: UUID | None = owned_by("turn.id", nullable=True)
    kind: str
    """`live` (edited while the turn runs), `answer`, `notice`, `question`; `reaction` is the sign
    that we leave at a prompt's message: its body names the sign, its ref the message."""
    key: str
    """What this reply is about; one row per thread and key, whoever computes it."""
    body: str
    buttons: list[dict[str, str]] = json_of("[]")
    """{label, says, url} of each, as in `adapters.chat.port.Button`."""
    notify: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """The surface's id of the person who is told of the post."""
    final: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    live: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Of a live one: how far its turn is, as in `adapters.chat.port.Live`."""
    language: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """The shipped locale of its body."""
    state: ReplyState = state_of(ReplyState, ReplyState.PENDING)
    wording: int = counter()
    """Counts changes of the body; the sender writes back only the one it sent."""
    wording_sent: int = counter()
    posted_ref: str | None = None
    """The surface's id of the post; None until the first post is certain."""
    attempts: int = counter()
    tried_at: datetime | None = moment()
    """When the first attempt began of which it is not known whether it posted."""
    due_at: datetime = moment(now=True)
    undelivered: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """It failed for good, and its asker may be told of it directly."""
    sender: str | None = None
    sender_until: datetime | None = moment()
    """Deadline of the post under way; a successor waits it out, then looks the mark up."""
    error: str | None = None
    created_at: datetime = moment(now=True)

    __table_args__ = (
        UniqueConstraint("thread_id", "key"),
        Index(
            "ix_reply_due",
            "due_at",
            postgresql_where=text("state IN ('pending', 'sending')"),
        ),
        Index("ix_reply_undelivered", "created_at", postgresql_where=text("undelivered")),
        Index("ix_reply_posted", "posted_ref", postgresql_where=text("posted_ref IS NOT NULL")),
    )


class Bucket(SQLModel, table=True):
    """Tokens left for one method of one installation of a surface."""

    surface: str = Field(sa_column=Column(String, primary_key=True))
    method: str = Field(sa_column=Column(String, primary_key=True))
    tokens: float
    filled_at: datetime = moment(now=True)


class Cursor(SQLModel, table=True):
    """Where a listener that asks again and again has read to."""

    name: str = Field(primary_key=True)
    value: str
    put_at: datetime = moment(now=True)


class Kept(SQLModel, table=True):
    """What an installation keeps of itself, such as a secret that its marks are made with."""

    name: str = Field(primary_key=True)
    value: str
    kept_at: datetime = moment(now=True)


class SurfaceState(SQLModel, table=True):
    """Whether a process hears what is said on a surface, as it said last."""

    __tablename__ = "surface_state"

    surface: str = Field(primary_key=True)
    owner: str = Field(primary_key=True)
    """The process."""
    state: str
    """As in `adapters.listening.Condition`."""
    why: str = Field(default="", sa_column_kwargs={"server_default": ""})
    mode: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """As in `bot.switched.Mode`."""
    delay_seconds: float = Field(default=0, sa_column_kwargs={"server_default": "0"})
    at: datetime = moment(now=True)
    """Since when it is in this state."""
    seen_at: datetime = moment(now=True)
    """When the process said so last."""


class Lease(SQLModel, table=True):
    """The right to be the only one at something that is not a session, such as a clock."""

    name: str = Field(primary_key=True)
    owner: str
    token: int = counter()
    until: datetime = moment(now=True)
