"""Columns that tables share: how a key, a moment, a state are declared."""

import enum
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Enum, ForeignKey, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from bot.store.ids import new_id


def own_id() -> Any:
    """An id that sorts by when it was made."""
    return Field(default_factory=new_id, primary_key=True)


def moment(*, now: bool = False) -> Any:
    """A point in time; None unless one is put or it begins as the transaction's."""
    default = func.now() if now else None
    column = Column(DateTime(timezone=True), nullable=not now, server_default=default)
    return Field(default=None, sa_column=column)


def owned_by(
    column: str, *, index: bool = True, unique: bool = False, nullable: bool = False
) -> Any:
    """A foreign key whose rows go when their owner goes."""
    key = ForeignKey(column, ondelete="CASCADE")
    return Field(sa_column=Column(key, nullable=nullable, index=index, unique=unique))


def counter() -> Any:
    """A whole number that begins at 0."""
    return Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))


def words() -> Any:
    """Text that is empty unless some is put."""
    return Field(default="", sa_column_kwargs={"server_default": ""})


def flag() -> Any:
    """A truth that is false unless it is put."""
    return Field(default=False, sa_column_kwargs={"server_default": "false"})


def json_of(empty: str) -> Any:
    """JSON that is `empty` unless some is put."""
    return Field(sa_column=Column(JSONB, nullable=False, server_default=text(f"'{empty}'::jsonb")))


def state_of(kind: type[enum.StrEnum], first: enum.StrEnum) -> Any:
    """A state, kept as its value; `first` is where rows begin."""
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


def named(column: str, *, index: bool = True) -> Any:
    """A foreign key that is empty when what it names is gone."""
    return Field(
        default=None,
        sa_column=Column(ForeignKey(column, ondelete="SET NULL"), nullable=True, index=index),
    )
