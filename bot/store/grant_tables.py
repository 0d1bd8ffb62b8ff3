"""Tables of credentials that turns and builds got."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Index, text
from sqlmodel import Field, SQLModel

from bot.store.columns import json_of, moment, own_id, state_of
from bot.store.states import GrantState


class TurnGrant(SQLModel, table=True):
    """A short-lived credential of a turn or a build, written down before its issuer is asked."""

    __tablename__ = "turn_grant"

    id: UUID = own_id()
    """Issuers that name what they issue call it by this."""
    session_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("session.id", ondelete="SET NULL"), nullable=True, index=True),
    )
    """None: the session is deleted, and the grant has to go; or a template's build has it."""
    template_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("template.id", ondelete="SET NULL"), nullable=True),
    )
    """Whose build has it."""
    turn_id: UUID | None = Field(
        default=None,
        sa_column=Column(ForeignKey("turn.id", ondelete="SET NULL"), nullable=True, index=True),
    )
    """None: the turn had not begun yet."""
    kind: str
    """Of its issuer; `token` is the turn's own in Vault, whose leases end with it."""
    name: str
    """Within the project."""
    mode: str
    """`injected` outside the machine, or `handed` into it."""
    purpose: str = ""
    options: dict[str, Any] = json_of("{}")
    """As the project asks for it."""
    trace: dict[str, Any] = json_of("{}")
    """What its issuer needs to end it; never a value that works."""
    state: GrantState = state_of(GrantState, GrantState.ISSUING)
    owner: str
    """Who held the session when it was issued, by which lease; empty and 0: a build had it."""
    lease_token: int = Field(sa_column=Column(BigInteger, nullable=False))
    created_at: datetime = moment(now=True)
    issued_at: datetime | None = moment()
    ends_at: datetime | None = moment()
    """Its issuer refuses it from then on, renewed or not; None: it has no time of its own."""
    ended_at: datetime | None = moment()

    __table_args__ = (
        Index(
            "ix_turn_grant_alive",
            "created_at",
            postgresql_where=text("state IN ('issuing', 'issued')"),
        ),
    )
