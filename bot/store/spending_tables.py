"""Tables of what models cost, and what bounds it."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Index, text
from sqlmodel import Field, SQLModel

from bot.store.columns import counter, moment, own_id, state_of
from bot.store.states import ChargeState


class Budget(SQLModel, table=True):
    """What somebody or something may spend on models, and has; in micro-dollars."""

    kind: str = Field(primary_key=True)
    """`session`, or for one day `person`, `project`."""
    owner: UUID = Field(primary_key=True)
    day: date = Field(primary_key=True)
    limit_micro: int | None = Field(default=None, sa_column=Column(BigInteger))
    """As the last request was told; None: there is none."""
    extra_micro: int = counter()
    """Allowed by a person beyond the limit."""
    reserved_micro: int = counter()
    """The worst case of the requests under way."""
    spent_micro: int = counter()


class Charge(SQLModel, table=True):
    """One request to a model: what it may cost, then what it did."""

    id: UUID = own_id()
    turn_id: UUID = Field(index=True)
    """Like those below no reference: what was spent is known for longer than for what."""
    session_id: UUID = Field(index=True)
    person_id: UUID
    project_id: UUID
    day: date = Field(index=True)
    """UTC, of its reservation."""
    provider: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """The name of whose model it is."""
    model: str
    fault: str | None = None
    """How its provider failed, as `vmpool.network.model.fault` calls it; None: it did not."""
    state: ChargeState = state_of(ChargeState, ChargeState.RESERVED)
    worst_micro: int = counter()
    cost_micro: int = counter()
    input_tokens: int = counter()
    output_tokens: int = counter()
    cache_read_tokens: int = counter()
    cache_write_tokens: int = counter()
    created_at: datetime = moment(now=True)
    settled_at: datetime | None = moment()

    __table_args__ = (
        Index("ix_charge_reserved", "created_at", postgresql_where=text("state = 'reserved'")),
    )


class BudgetRefusal(SQLModel, table=True):
    """The last request to a model of a turn that no budget bore; gone when it is extended."""

    __tablename__ = "budget_refusal"

    turn_id: UUID = Field(
        sa_column=Column(ForeignKey("turn.id", ondelete="CASCADE"), primary_key=True)
    )
    kind: str
    """Of the budget, as in `Budget`."""
    limit_micro: int = counter()
    """With what was allowed beyond it."""
    spent_micro: int = counter()
    reserved_micro: int = counter()
    worst_micro: int = counter()
    """What the request may cost."""
    more_micro: int = counter()
    """By how much a session's budget would be extended so that it bears the request."""
    at: datetime = moment(now=True)
