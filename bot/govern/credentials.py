"""How people prove who they are: one-time links and codes, browser sessions, API tokens.

Secrets have 256 random bits, and codes, which live for minutes, 60: a plain SHA-256 digest is what
is stored and looked up, and nobody can steer one towards another in the index, which makes the
look-up's timing worthless. The database's clock decides what has expired.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from bot.errors import NotFound, Refused
from bot.govern.access import Standing
from bot.govern.people import service_refusal, standing_of
from bot.store.transaction import Transaction

TOKEN_PREFIX = "ona_"
SECRET_BYTES = 32
SECRET_LENGTH_MAX = 200
"""Longer ones are not even digested."""
USE_NOTED_SECONDS = 60
"""How exact the time of last use is kept."""
TOKEN_NAME_LENGTH_MAX = 80
TOKENS_MAX = 50
"""API tokens that a person may hold at once."""

Kind = Literal["token", "link", "browser", "connect", "device"]

_VALID = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
_ADD = text(
    """
    INSERT INTO credential (digest, kind, person_id, name, expires_at)
    SELECT :digest, :kind, person.id, :name, now() + make_interval(secs => :seconds)
      FROM person WHERE person.id = :person AND NOT person.is_service
    RETURNING digest
    """
)
_USE = text(
    f"""
    UPDATE credential SET used_at = now()
     WHERE digest = :digest AND kind = :kind AND used_at IS NULL AND {_VALID}
    RETURNING person_id
    """
)
_PEEK_LINK = text(
    f"""
    SELECT person.name FROM credential JOIN person ON person.id = credential.person_id
     WHERE digest = :digest AND kind = 'link' AND used_at IS NULL AND {_VALID}
       AND person.deactivated_at IS NULL
    """
)
_SIGNED_IN = text(
    f"""
    SELECT person.id AS person_id, person.name, person.deactivated_at IS NULL AS active,
           EXISTS (SELECT 1 FROM identity WHERE identity.person_id = person.id
                      AND identity.surface = 'local') AS operator,
           credential.used_at IS NULL
             OR credential.used_at < now() - make_interval(secs => :noted) AS stale
      FROM credential JOIN person ON person.id = credential.person_id
     WHERE digest = :digest AND kind = :kind AND {_VALID} AND person.deactivated_at IS NULL
       AND NOT person.is_service
    """
)
_NOTE_USE = text("UPDATE credential SET used_at = now() WHERE digest = :digest")
_REVOKE = text(
    """
    UPDATE credential SET revoked_at = now()
     WHERE person_id = :person AND kind = 'token' AND left(digest, 12) = :id AND revoked_at IS NULL
    RETURNING name
    """
)
_FORGET = text("UPDATE credential SET revoked_at = now() WHERE digest = :digest")
_TOKENS = text(
    f"""
    SELECT left(digest, 12) AS id, name, created_at, expires_at, used_at FROM credential
     WHERE person_id = :person AND kind = 'token' AND {_VALID} ORDER BY created_at
    """
)
_SWEEP = text(
    """
    DELETE FROM credential
     WHERE coalesce(revoked_at, expires_at) < now() - make_interval(days => 30)
    RETURNING digest
    """
)


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A person behind a credential that holds."""

    standing: Standing
    stale: bool
    """The time of last use is old enough to be noted again."""


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def csrf_token(browser_secret: str) -> str:
    """The token that forms of this browser session carry; another site can't know it."""
    return hmac.new(browser_secret.encode(), b"ona csrf", hashlib.sha256).hexdigest()


def csrf_holds(browser_secret: str, given: str) -> bool:
    """Whether `given` is this browser session's token; takes the same time either way."""
    return hmac.compare_digest(
        csrf_token(browser_secret).encode(), given.encode("utf-8", "replace")
    )


async def issue(
    tx: Transaction, kind: Kind, person_id: UUID, *, seconds: float | None, name: str = ""
) -> str:
    """Make a credential and return its secret, which is not kept.

    :param seconds: its life; None: until revoked
    """
    secret = (TOKEN_PREFIX if kind == "token" else "") + secrets.token_urlsafe(SECRET_BYTES)
    await add(tx, kind, person_id, secret, seconds=seconds, name=name)
    return secret


async def add(
    tx: Transaction,
    kind: Kind,
    person_id: UUID,
    secret: str,
    *,
    seconds: float | None,
    name: str = "",
) -> None:
    """Keep a secret that was made elsewhere as a credential.

    :raises Refused: it is for a service account, which never signs in
    """
    values = {
        "digest": digest(secret),
        "kind": kind,
        "person": person_id,
        "name": name,
        "seconds": seconds,
    }
    if (await tx.execute(_ADD, values)).first() is None:
        raise service_refusal((await standing_of(tx, person_id)).name)


async def use(tx: Transaction, kind: Kind, secret: str) -> UUID | None:
    """Whose a credential is that holds once; None: it does not hold."""
    if len(secret) > SECRET_LENGTH_MAX:
        return None
    used = await tx.execute(_USE, {"digest": digest(secret), "kind": kind})
    person_id: UUID | None = used.scalar_one_or_none()
    return person_id


async def issue_token(tx: Transaction, person_id: UUID, name: str, days: float | None) -> str:
    """Make an API token. :raises Refused: unnamed, or too many of them."""
    name = " ".join(name.split())
    if not name or len(name) > TOKEN_NAME_LENGTH_MAX or not name.isprintable():
        raise Refused(
            f"a token's name has 1 to {TOKEN_NAME_LENGTH_MAX} printable characters",
            do="name it after what will use it",
        )
    if len(await tokens_of(tx, person_id)) >= TOKENS_MAX:
        raise Refused(f"you hold {TOKENS_MAX} tokens, the most there can be", do="revoke one")
    seconds = None if days is None else days * 86400
    return await issue(tx, "token", person_id, seconds=seconds, name=name)


async def use_link(tx: Transaction, secret: str) -> UUID:
    """Whom a one-time link signs in; it holds no second time. :raises Refused: it does not hold."""
    person_id = await use(tx, "link", secret)
    if person_id is None:
        raise Refused(
            "this sign-in link was used already or is too old",
            do="`ona people link` prints a new one",
        )
    return person_id


async def peek_link(tx: Transaction, secret: str) -> str | None:
    """The name of whom a one-time link would sign in, without using it."""
    if len(secret) > SECRET_LENGTH_MAX:
        return None
    name: str | None = (
        await tx.execute(_PEEK_LINK, {"digest": digest(secret)})
    ).scalar_one_or_none()
    return name


async def signed_in(tx: Transaction, kind: Kind, secret: str) -> SignedIn | None:
    """Who is behind a token or browser session; None when it does not hold (any more)."""
    if not secret or len(secret) > SECRET_LENGTH_MAX:
        return None
    wanted = {"digest": digest(secret), "kind": kind, "noted": USE_NOTED_SECONDS}
    row = (await tx.execute(_SIGNED_IN, wanted)).mappings().one_or_none()
    if row is None:
        return None
    known = dict(row)
    stale = bool(known.pop("stale"))
    if stale:
        await tx.execute(_NOTE_USE, {"digest": digest(secret)})
    return SignedIn(standing=Standing(**known), stale=stale)


async def tokens_of(tx: Transaction, person_id: UUID) -> Sequence[Mapping[str, Any]]:
    """A person's API tokens that hold: id, name, created_at, expires_at, used_at."""
    return [dict(row) for row in (await tx.execute(_TOKENS, {"person": person_id})).mappings()]


async def revoke_token(tx: Transaction, person_id: UUID, token_id: str) -> str:
    """Revoke one of a person's tokens; returns its name. :raises NotFound:."""
    row = (await tx.execute(_REVOKE, {"person": person_id, "id": token_id})).one_or_none()
    if row is None:
        raise NotFound(f"you have no token {token_id}", do="`ona tokens` lists yours")
    return str(row.name)


async def forget(tx: Transaction, secret: str) -> None:
    """Revoke a credential by its secret, such as a browser's that signs out; idempotent."""
    await tx.execute(_FORGET, {"digest": digest(secret)})


async def sweep(tx: Transaction) -> int:
    """Delete rows that have not held for 30 days; how many."""
    return len((await tx.execute(_SWEEP)).all())
