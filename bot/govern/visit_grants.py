"""Grants for visits: what `ona serve` allowed, as the relay of a machine's host checks it.

    <payload, base64url of JSON>.<HMAC-SHA256 of it, base64url>

The key is the installation's, in its database, which both have. A grant names one session and one
thing, lives for a minute and works once: whoever reads it on its way has nothing afterwards.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args
from uuid import UUID

from bot.errors import Refused
from bot.store.database import Database
from bot.store.kept import keep

GRANT_SECONDS = 60.0
CLOCK_SKEW_SECONDS = 30.0
"""By which the clocks of two hosts may differ."""
GRANT_CHARACTERS_MAX = 2048
USED_MAX = 100_000
"""Grants that are remembered as used, until they end."""
KEY_BYTES = 32
_KEY = "key of visits"
_DOMAIN = b"ona visit v1:"

Kind = Literal["ssh", "port", "certificate"]


@dataclass(frozen=True, kw_only=True)
class VisitGrant:
    """Who may do what with the machine of which session."""

    session_id: UUID
    person_id: UUID
    kind: Kind
    port: int = 0
    """In the machine; 0 for all but `port`."""


class BadGrant(Refused):
    """It is none of ours, is over, or was used before."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the grant of this visit {why}", do="open the connection anew")


async def read_key(database: Database) -> bytes:
    """The key of this installation, made at first use."""
    async with database.begin() as tx:
        return bytes.fromhex(await keep(tx, _KEY, secrets.token_hex(KEY_BYTES)))


def signed(key: bytes, grant: VisitGrant, *, now: float | None = None) -> str:
    """The grant as text, good for GRANT_SECONDS from `now`, in Unix seconds."""
    until = (time.time() if now is None else now) + GRANT_SECONDS
    said = {name: str(value) for name, value in asdict(grant).items()}
    said |= {"id": secrets.token_hex(16), "until": repr(until)}
    payload = _text(json.dumps(said, sort_keys=True).encode())
    return f"{payload}.{_text(_digest(key, payload))}"


class Verifier:
    """Checks grants, each once."""

    def __init__(self, key: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._used: dict[str, float] = {}
        """Ids of grants, to when they can be forgotten."""

    def redeem(self, text: str) -> VisitGrant:
        """The grant that the text is; it works no second time. :raises BadGrant:"""
        payload, _, digest = text.partition(".")
        expected = _text(_digest(self._key, payload))
        whole = len(text) <= GRANT_CHARACTERS_MAX and text.isascii()
        if not whole or not hmac.compare_digest(expected, digest):
            raise BadGrant("is not signed by this installation")
        said, now = _said(payload), self._clock()
        until, identity = float(said["until"]), str(said["id"])
        if not now - CLOCK_SKEW_SECONDS < until < now + GRANT_SECONDS + CLOCK_SKEW_SECONDS:
            raise BadGrant("is over, or the clocks of two hosts differ")
        self._use(identity, until, now)
        return _grant(said)

    def _use(self, identity: str, until: float, now: float) -> None:
        if identity in self._used:
            raise BadGrant("was used before")
        if len(self._used) >= USED_MAX:
            self._used = {one: end for one, end in self._used.items() if end > now}
        if len(self._used) >= USED_MAX:
            raise BadGrant("came with too many others")
        self._used[identity] = until + CLOCK_SKEW_SECONDS


def _grant(said: dict[str, Any]) -> VisitGrant:
    kind = said["kind"]
    if kind not in get_args(Kind):
        raise BadGrant("is of a newer version")
    return VisitGrant(
        session_id=UUID(said["session_id"]),
        person_id=UUID(said["person_id"]),
        kind=kind,
        port=int(said["port"]),
    )


def _said(payload: str) -> dict[str, Any]:
    """What we signed, so it is as we wrote it."""
    return dict(json.loads(base64.urlsafe_b64decode(payload)))


def _digest(key: bytes, payload: str) -> bytes:
    return hmac.new(key, _DOMAIN + payload.encode(), hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
