"""Previews as rows: addresses under which people see a port of a session's machine."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.errors import NotFound, Refused
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _

OPEN_MAX = 20
"""Of one session at once."""
TOKEN_BYTES = 16
PORT_MAX = 65535

_LIVE = "revoked_at IS NULL AND expires_at > now()"
_ADD = text(
    f"""
    INSERT INTO preview (id, session_id, token, port, created_by, expires_at)
    SELECT :id, :session, :token, :port, :by, now() + make_interval(secs => :seconds)
     WHERE (SELECT count(*) FROM preview WHERE session_id = :session AND {_LIVE}) < :most
    RETURNING id, token, port, created_at, expires_at
    """
)
_OF_SESSION = text(
    f"""
    SELECT preview.id, preview.token, preview.port, preview.created_at, preview.expires_at,
           person.name AS creator
      FROM preview JOIN person ON person.id = preview.created_by
     WHERE preview.session_id = :session AND {_LIVE} ORDER BY preview.created_at
    """
)
_FIND = text(
    f"""
    SELECT preview.id, preview.port, session.id AS session_id, session.short,
           (SELECT machine.state FROM machine WHERE machine.session_id = session.id
               AND machine.state NOT IN ('lost', 'removing', 'gone')) AS machine_state
      FROM preview JOIN session ON session.id = preview.session_id
     WHERE preview.token = :token AND {_LIVE}
    """
)
_REVOKE = text(
    f"""
    UPDATE preview SET revoked_at = now() WHERE id = :id AND session_id = :session AND {_LIVE}
    RETURNING port
    """
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A preview that is open."""

    id: UUID
    port: int
    session_id: UUID
    short: str
    machine_state: str | None
    """None: the session has no machine."""


async def create(
    tx: Transaction, session_id: UUID, *, port: int, by: UUID, seconds: float
) -> dict[str, Any]:
    """A new one; its `token` can't be guessed. :raises Refused: no port, or too many"""
    if not 0 < port <= PORT_MAX:
        raise Refused(_("there is no port {port}", port=port))
    wanted = {
        "id": new_id(),
        "session": session_id,
        "token": secrets.token_hex(TOKEN_BYTES),
        "port": port,
        "by": by,
        "seconds": seconds,
        "most": OPEN_MAX,
    }
    row = (await tx.execute(_ADD, wanted)).mappings().one_or_none()
    if row is None:
        raise Refused(
            _("the session has {count} previews, which is all that it may have", count=OPEN_MAX),
            do=_("revoke one first"),
        )
    return dict(row)


async def of_session(tx: Transaction, session_id: UUID) -> Sequence[dict[str, Any]]:
    """Those that are open, the oldest first."""
    rows = await tx.execute(_OF_SESSION, {"session": session_id})
    return [dict(row) for row in rows.mappings()]


async def find(tx: Transaction, token: str) -> Found:
    """The open one with this token. :raises NotFound: there is none, or it is over"""
    row = (await tx.execute(_FIND, {"token": token})).one_or_none()
    if row is None:
        raise NotFound(
            _("this preview is over, or never was"),
            do=_("ask for a new one: `ona sessions preview`"),
        )
    return Found(**row._asdict())


async def revoke(tx: Transaction, session_id: UUID, preview_id: UUID) -> int:
    """End one; its port. :raises NotFound: it is none of the session's, or over"""
    row = (await tx.execute(_REVOKE, {"id": preview_id, "session": session_id})).one_or_none()
    if row is None:
        raise NotFound(_("there is no such preview"), do=_("`ona sessions previews` lists them"))
    return int(row.port)
