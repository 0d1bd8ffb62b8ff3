"""Tables of visits: where each host's relay listens, and the addresses of previews."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, ForeignKey, Index, text
from sqlmodel import Field, SQLModel

from bot.store.ids import new_id


class Relay(SQLModel, table=True):
    """Where the relay of a host listens, as its `ona work` said when it started."""

    host_id: UUID = Field(
        sa_column=Column(ForeignKey("host.id", ondelete="CASCADE"), primary_key=True)
    )
    socket: str
    """Path of its Unix socket."""
    address: str = ""
    """`host:port` for processes elsewhere; empty: none."""
    fingerprint: str = ""
    """SHA-256 of its certificate there, in hex."""
    at: datetime = Field(
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("now()"))
    )


class Preview(SQLModel, table=True):
    """An address under which people see a port of a session's machine."""

    id: UUID = Field(default_factory=new_id, primary_key=True)
    session_id: UUID = Field(
        sa_column=Column(ForeignKey("session.id", ondelete="CASCADE"), nullable=False)
    )
    token: str
    """First label of its host name; nobody can guess it."""
    port: int
    created_by: UUID = Field(foreign_key="person.id")
    created_at: datetime = Field(
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("now()"))
    )
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    revoked_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True)
    )

    __table_args__ = (
        Index("ux_preview_token", "token", unique=True),
        Index("ix_preview_session_id", "session_id"),
    )
