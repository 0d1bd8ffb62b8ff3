"""The leader of something: one holder of a lease row at a time, with a fencing token.

A row and not an advisory lock: the database's clock decides, a paused holder is fenced by its
token, and whoever looks sees who leads.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

Begin = Callable[[], AbstractAsyncContextManager[AsyncSession]]

_TAKE = text(
    """
    INSERT INTO lease (name, owner, token, until)
    VALUES (:name, :owner, 1, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE
       SET owner = excluded.owner,
           token = lease.token + CASE WHEN lease.owner = excluded.owner THEN 0 ELSE 1 END,
           until = excluded.until
     WHERE lease.owner = excluded.owner OR lease.until < clock_timestamp()
    RETURNING token
    """
)
_GIVE = text("UPDATE lease SET until = clock_timestamp() WHERE name = :name AND owner = :owner")


class Leader:
    """The right to be the only one at `name`; ask again before `seconds` are over."""

    def __init__(self, begin: Begin, *, name: str, owner: str, seconds: float) -> None:
        """`owner` names this process and must be new for each start of it."""
        self._begin = begin
        self._name = name
        self._owner = owner
        self._seconds = seconds

    async def lead(self) -> int | None:
        """Take or renew the lease; its token, or None while another process leads."""
        async with self._begin() as tx:
            token: int | None = (
                await tx.execute(
                    _TAKE,
                    {"name": self._name, "owner": self._owner, "seconds": self._seconds},
                )
            ).scalar_one_or_none()
        return token

    async def resign(self) -> None:
        """Let another process lead at once."""
        async with self._begin() as tx:
            await tx.execute(_GIVE, {"name": self._name, "owner": self._owner})
