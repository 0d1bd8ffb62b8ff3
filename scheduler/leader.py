"""The leader of something: one holder of a lease row at a time.

A row and not an advisory lock: the database's clock decides, and whoever looks sees who leads. What
the leader does belongs into the transaction in which it took or renewed the lease: nobody else can
take it before that ends. The database ends it when its holder has been silent for as long as the
lease lasts, so a paused holder finds its transaction gone and has done nothing.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import TextClause, text

_LIMIT = text("SELECT set_config('idle_in_transaction_session_timeout', :milliseconds, true)")
_TAKE = text(
    """
    INSERT INTO lease (name, owner, token, until)
    VALUES (:name, :owner, 1, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE
       SET owner = excluded.owner,
           token = lease.token + CASE WHEN lease.owner = excluded.owner THEN 0 ELSE 1 END,
           until = clock_timestamp() + make_interval(secs => :seconds)
     WHERE lease.owner = excluded.owner OR lease.until < clock_timestamp()
    RETURNING token
    """
)
_GIVE = text("UPDATE lease SET until = clock_timestamp() WHERE name = :name AND owner = :owner")


class Tx(Protocol):
    """An open transaction of whoever leads."""

    async def execute(self, statement: TextClause, parameters: Mapping[str, Any], /) -> Any:
        """Run a statement; what it returned has `scalar_one_or_none`."""
        ...


class Leader:
    """The right to be the only one at `name`; ask again before `seconds` are over."""

    def __init__(self, *, name: str, owner: str, seconds: float) -> None:
        """`owner` names this process and must be new for each start of it."""
        self._name = name
        self._owner = owner
        self._seconds = seconds

    async def lead(self, tx: Tx) -> int | None:
        """Take or renew the lease until `tx` ends, and for `seconds` after it was asked for.

        Waits while another leader's transaction is open. Returns the token, which grows with each
        new leader, or None while another process leads.
        """
        await tx.execute(_LIMIT, {"milliseconds": str(max(1, round(self._seconds * 1000)))})
        taken = await tx.execute(
            _TAKE, {"name": self._name, "owner": self._owner, "seconds": self._seconds}
        )
        token: int | None = taken.scalar_one_or_none()
        return token

    async def resign(self, tx: Tx) -> None:
        """Let another process lead as soon as `tx` ends; nothing when it does not lead."""
        await tx.execute(_GIVE, {"name": self._name, "owner": self._owner})
