"""What the agent of a turn did with tools, as its events tell it, and which tests ran so."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.store.database import Database
from bot.store.transaction import Transaction
from bot.work.secret_scan import is_secret
from bot.work.tested import Ran, is_test, told

_TOOLS = text(
    """
    SELECT DISTINCT ON (body ->> 'id') body ->> 'title' AS title, body ->> 'status' AS status,
           body ->> 'command' AS command, CAST(body ->> 'exit_status' AS bigint) AS exit_status,
           body ->> 'output' AS output, number
      FROM turn_event
     WHERE session_id = :session AND turn_id = :turn AND kind = 'tool'
     ORDER BY body ->> 'id', number DESC
    """
)


async def tools_of(tx: Transaction, session_id: UUID, turn_id: UUID) -> Sequence[Ran]:
    """What was done in a turn, in order; of each call the last that was said of it."""
    rows = (await tx.execute(_TOOLS, {"session": session_id, "turn": turn_id})).all()
    return [
        Ran(
            title=row.title or "",
            status=row.status or "",
            command=row.command or "",
            exit_status=row.exit_status,
            output=row.output or "",
        )
        for row in sorted(rows, key=lambda row: row.number)
    ]


async def tests_of(
    database: Database, session_id: UUID, turn_id: UUID
) -> Sequence[Mapping[str, Any]]:
    """Which tests ran in a turn and how they ended, as its outcome keeps it."""
    async with database.begin() as tx:
        tools = await tools_of(tx, session_id, turn_id)
    # Not on the event loop: looking for secrets takes time.
    return await asyncio.to_thread(told, tools, is_secret)


async def tests_without_secrets(tools: Sequence[Ran]) -> Sequence[Ran]:
    """Those that are runs of tests, but for commands that look like secrets."""
    tests = [one for one in tools if is_test(one.said)]
    return await asyncio.to_thread(lambda: [one for one in tests if not is_secret(one.said)])
