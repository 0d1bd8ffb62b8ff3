"""Whether a delivery comes from who knows the secret."""

import hashlib
import hmac

import pytest

from bot.automate.triggers import hook_checks
from bot.automate.triggers.hook_checks import (
    BODY_BYTES_MAX,
    KEY_LENGTH_MAX,
    WINDOW_SECONDS,
    Delivery,
    NotTaken,
    signature,
    verify,
)

SECRET, NOW, BODY = "onahook_s3cret", 1_800_000_000, b'{"a": 1}'


def hub(body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={digest}"}


def ours(body: bytes = BODY, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    return {"x-ona-signature-256": signature(secret, at, body), "x-ona-timestamp": str(at)}


def bearer(secret: str = SECRET) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def delivery(headers: dict[str, str], body: bytes = BODY) -> Delivery:
    return Delivery(headers=headers, body=body, at=float(NOW))


@pytest.mark.parametrize(
    ("headers", "way"),
    [
        (ours(), "signed"),
        (ours(at=NOW - WINDOW_SECONDS), "signed"),
        (ours(at=NOW + WINDOW_SECONDS), "signed"),
        (hub(), "hub"),
        (bearer(), "bearer"),
        ({"authorization": f"bearer  {SECRET} "}, "bearer"),
        ({**ours(), **bearer("wrong")}, "signed"),
    ],
)
def test_each_way_of_showing_the_secret_holds(headers, way) -> None:
    assert verify(delivery(headers), SECRET).way == way


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "unsigned"),
        (ours(secret="other"), "unsigned"),
        (ours(body=b"{}"), "unsigned"),
        ({**ours(), "x-ona-timestamp": str(NOW + 1)}, "unsigned"),
        ({"x-ona-signature-256": ours()["x-ona-signature-256"]}, "unsigned"),
        ({**ours(), "x-ona-timestamp": "1e9"}, "unsigned"),
        ({**ours(), "x-ona-timestamp": "9" * 400}, "unsigned"),
        ({**ours(), "x-ona-signature-256": "sha256=ü"}, "unsigned"),
        (ours(at=NOW - WINDOW_SECONDS - 1), "old"),
        (ours(at=NOW + WINDOW_SECONDS + 1), "old"),
        (hub(secret="other"), "unsigned"),
        ({"x-hub-signature-256": "sha1=x"}, "unsigned"),
        (bearer("wrong"), "unsigned"),
        ({"authorization": f"Basic {SECRET}"}, "unsigned"),
        ({"authorization": "Bearer"}, "unsigned"),
        ({**ours(secret="other"), **bearer()}, "unsigned"),
        ({**hub(secret="other"), **bearer()}, "unsigned"),
    ],
)
def test_what_shows_no_secret_is_not_taken(headers, why) -> None:
    with pytest.raises(NotTaken) as refused:
        verify(delivery(headers), SECRET)
    assert refused.value.why == why


def test_the_strongest_sign_has_to_hold_even_beside_a_weaker_one_that_does() -> None:
    with pytest.raises(NotTaken):
        verify(delivery({**ours(body=b"x"), **hub()}), SECRET)


@pytest.mark.parametrize(
    ("headers", "key", "kind"),
    [
        ({**ours(), "idempotency-key": " k1 "}, "k1", ""),
        (ours(), "", ""),
        ({**ours(), "x-github-delivery": "d1"}, "", ""),
        ({**hub(), "x-github-delivery": "d1", "x-github-event": "push"}, "d1", "push"),
        ({**hub(), "x-gitea-delivery": "d2"}, "d2", ""),
        ({**hub(), "x-github-delivery": "d1", "idempotency-key": "k"}, "k", ""),
        ({**bearer(), "x-github-delivery": "d1"}, "", ""),
    ],
)
def test_what_the_sender_calls_a_delivery_is_known(headers, key, kind) -> None:
    verified = verify(delivery(headers), SECRET)
    assert (verified.key, verified.kind) == (key, kind)


def test_the_digest_tells_the_time_that_was_signed() -> None:
    first, later = (verify(delivery(ours(at=NOW + more)), SECRET) for more in (0, 1))
    assert first.digest != later.digest
    assert verify(delivery(hub()), SECRET).digest == verify(delivery(bearer()), SECRET).digest


def test_the_limits_of_a_delivery_hold() -> None:
    fits = b" " * BODY_BYTES_MAX
    assert verify(delivery(hub(fits), fits), SECRET).way == "hub"
    with pytest.raises(NotTaken) as refused:
        verify(delivery(hub(fits + b" "), fits + b" "), SECRET)
    assert refused.value.why == "too_large"
    with pytest.raises(NotTaken) as refused:
        verify(delivery({**hub(), "idempotency-key": "k" * (KEY_LENGTH_MAX + 1)}), SECRET)
    assert refused.value.why == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"a"',
        b"{",
        b'{"a": NaN}',
        b"\xff",
        b"a=b",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
    ids=["none", "list", "text", "open", "nan", "latin", "form", "deep", "deeper", "digits"],
)
def test_what_is_no_json_object_is_not_taken(body) -> None:
    with pytest.raises(NotTaken) as refused:
        hook_checks.read(body)
    assert refused.value.why == "malformed"
