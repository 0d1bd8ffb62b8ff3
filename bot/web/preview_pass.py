"""Passes into previews: who signed in shows it to a preview's own origin; pure.

Our cookie never goes to a preview's host name, where a program of somebody else answers. Instead
our origin gives a pass of a minute, which the preview's origin changes into a cookie of its own,
good for that preview and person alone.
"""

import base64
import hashlib
import hmac
import json
import time
from typing import Literal
from uuid import UUID

PASS_SECONDS = 60.0
COOKIE_SECONDS = 3600.0
"""After which our origin is asked again; whoever is signed in does not notice."""
_DOMAIN = b"ona preview v1:"

Use = Literal["pass", "cookie"]
_SECONDS = {"pass": PASS_SECONDS, "cookie": COOKIE_SECONDS}


def made(key: bytes, use: Use, *, token: str, person_id: UUID, now: float | None = None) -> str:
    """One for a preview and a person, from `now`, in Unix seconds."""
    until = (time.time() if now is None else now) + _SECONDS[use]
    said = json.dumps([use, token, str(person_id), until])
    payload = base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")
    return f"{payload}.{_digest(key, payload)}"


def person_of(
    key: bytes, use: Use, text: str, *, token: str, now: float | None = None
) -> UUID | None:
    """Whose it is; None: it is none, of another preview, or over."""
    payload, _, digest = text.partition(".")
    if not text.isascii() or not hmac.compare_digest(_digest(key, payload), digest):
        return None
    padded = payload + "=" * (-len(payload) % 4)
    known, of, person, until = json.loads(base64.urlsafe_b64decode(padded))
    if (known, of) != (use, token) or until <= (time.time() if now is None else now):
        return None
    return UUID(person)


def _digest(key: bytes, payload: str) -> str:
    return hmac.new(key, _DOMAIN + payload.encode(), hashlib.sha256).hexdigest()
