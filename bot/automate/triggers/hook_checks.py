"""Whether a delivery to an automation's webhook comes from who knows its secret; pure.

    X-Ona-Signature-256: sha256=HMAC(secret, timestamp "." body)    with X-Ona-Timestamp
    X-Hub-Signature-256: sha256=HMAC(secret, body)                  as GitHub and others sign
    Authorization: Bearer secret                                    for who can't sign

Only the first says when it was signed: what somebody has overheard can be sent again later with
the other two, and with the last one anything can be sent. The strongest that is there has to hold.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

WINDOW_SECONDS = 300
"""How far the time of a signature may be from ours, before or after."""
BODY_BYTES_MAX = 256 * 1024
KEY_LENGTH_MAX = 200
SIGNATURE, TIMESTAMP = "x-ona-signature-256", "x-ona-timestamp"
HUB_SIGNATURE = "x-hub-signature-256"
KEY = "idempotency-key"
DELIVERIES = ("x-github-delivery", "x-gitea-delivery", "x-forgejo-delivery", "x-gogs-delivery")
"""Headers in which who signs like GitHub names a delivery."""
KINDS = ("x-github-event", "x-gitea-event", "x-forgejo-event", "x-gogs-event")
"""Headers in which they say what kind of thing happened."""
_TIMESTAMP = re.compile(r"\d{1,15}")

Why = Literal["unsigned", "old", "too_large", "malformed"]
Way = Literal["signed", "hub", "bearer"]


class NotTaken(Exception):
    """The delivery does not count; `why` says for which reason."""

    def __init__(self, why: Why, told: str) -> None:
        """`told` is a clause for who sent it."""
        super().__init__(told)
        self.why, self.told = why, told


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A request as it came."""

    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes
    at: float
    """When, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What is known of a delivery whose sender knows the secret."""

    way: Way
    key: str
    """What the sender calls it; empty: nothing."""
    digest: str
    """Of its body, and of its time where that was signed."""
    kind: str
    """What the sender says it is about, such as `push`."""


def verify(delivery: Delivery, secret: str) -> Verified:
    """Check it. :raises NotTaken: nothing shows that it comes from who knows the secret"""
    if len(delivery.body) > BODY_BYTES_MAX:
        raise NotTaken("too_large", f"the body is larger than {BODY_BYTES_MAX:,} bytes")
    headers, key = delivery.headers, secret.encode()
    signed = delivery.body
    if SIGNATURE in headers:
        signed = _stamped(delivery)
        _check(headers[SIGNATURE], _signature(key, signed))
        way: Way = "signed"
    elif HUB_SIGNATURE in headers:
        _check(headers[HUB_SIGNATURE], _signature(key, signed))
        way = "hub"
    else:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.casefold() != "bearer" or not given.strip():
            raise NotTaken("unsigned", "the delivery is not signed")
        _check(given.strip(), secret)
        way = "bearer"
    kind = next((headers[name] for name in KINDS if name in headers), "")
    return Verified(
        way=way,
        key=_key(headers, way),
        digest=hashlib.sha256(signed).hexdigest(),
        kind=kind[:KEY_LENGTH_MAX],
    )


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """What `X-Ona-Signature-256` says of a body that is sent at that time."""
    return _signature(secret.encode(), f"{timestamp}.".encode() + body)


def read(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is. :raises NotTaken: it is none"""
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise NotTaken("malformed", "the body is no JSON in UTF-8") from error
    if not isinstance(found, dict):
        raise NotTaken("malformed", "the body is JSON, and no object")
    return found


def _stamped(delivery: Delivery) -> bytes:
    """What was signed together with its time."""
    said = delivery.headers.get(TIMESTAMP, "").strip()
    if not _TIMESTAMP.fullmatch(said):
        raise NotTaken("unsigned", "X-Ona-Timestamp does not say the seconds since 1970")
    if abs(delivery.at - int(said)) > WINDOW_SECONDS:
        raise NotTaken("old", f"it was signed more than {WINDOW_SECONDS} s from now")
    return f"{said}.".encode() + delivery.body


def _signature(key: bytes, signed: bytes) -> str:
    return f"sha256={hmac.new(key, signed, hashlib.sha256).hexdigest()}"


def _check(given: str, expected: str) -> None:
    # As bytes: text with other letters than ASCII can't be compared in constant time.
    if not hmac.compare_digest(given.strip().encode(), expected.encode()):
        raise NotTaken("unsigned", "the delivery was made with another secret")


def _key(headers: Mapping[str, str], way: Way) -> str:
    names = (KEY, *DELIVERIES) if way == "hub" else (KEY,)
    key = next((headers[name].strip() for name in names if headers.get(name, "").strip()), "")
    if len(key) > KEY_LENGTH_MAX:
        raise NotTaken("malformed", f"an idempotency key has at most {KEY_LENGTH_MAX} characters")
    return key


def _no_number(said: str) -> Any:
    raise ValueError(f"{said} is no JSON")
