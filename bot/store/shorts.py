"""Rows that people call by a short id: one is drawn until it is free."""

from collections.abc import Callable, Mapping
from typing import Any

from psycopg import IntegrityError
from sqlalchemy import TextClause

from bot.store.ids import new_short
from bot.store.transaction import NOTHING, Transaction

TRIES_MAX = 5


def _nothing(_short: str) -> Mapping[str, Any]:
    return NOTHING


async def add(
    tx: Transaction,
    statement: TextClause,
    values: Mapping[str, Any],
    prefix: str,
    *,
    named: Callable[[str], Mapping[str, Any]] = _nothing,
) -> str | None:
    """Insert a row; its short id, which the statement takes as `:short`. None: none was free.

    :param named: values that follow from the short id
    """
    for _ in range(TRIES_MAX):
        short = new_short(prefix)
        try:
            async with tx.begin_nested():
                await tx.execute(statement, {**values, "short": short, **named(short)})
        except IntegrityError:
            continue
        return short
    return None
