"""Grants of visits: what is redeemed, once, and what is not."""

import secrets
from uuid import UUID

import pytest

from bot.govern import visit_grants
from bot.govern.visit_grants import (
    CLOCK_SKEW_SECONDS,
    GRANT_SECONDS,
    BadGrant,
    Verifier,
    VisitGrant,
    signed,
)

KEY = secrets.token_bytes(32)
NOW = 1_800_000_000.0
GRANT = VisitGrant(session_id=UUID(int=7), person_id=UUID(int=8), kind="port", port=3000)


def verifier(now: float = NOW, key: bytes = KEY) -> Verifier:
    return Verifier(key, clock=lambda: now)


def test_a_grant_is_redeemed_as_it_was_signed_and_only_once() -> None:
    text, other = signed(KEY, GRANT, now=NOW), signed(KEY, GRANT, now=NOW)
    relay = verifier()
    assert relay.redeem(text) == GRANT
    with pytest.raises(BadGrant, match="used before"):
        relay.redeem(text)
    assert relay.redeem(other) == GRANT


@pytest.mark.parametrize(
    ("later", "good"),
    [
        (0, True),
        (GRANT_SECONDS + CLOCK_SKEW_SECONDS - 1, True),
        (GRANT_SECONDS + CLOCK_SKEW_SECONDS, False),
        (-CLOCK_SKEW_SECONDS + 1, True),
        (-CLOCK_SKEW_SECONDS - 1, False),
    ],
)
def test_a_grant_lives_for_a_minute_by_clocks_that_differ_a_little(
    later: float, good: bool
) -> None:
    text = signed(KEY, GRANT, now=NOW)
    if good:
        assert verifier(NOW + later).redeem(text) == GRANT
        return
    with pytest.raises(BadGrant, match="over"):
        verifier(NOW + later).redeem(text)


def test_what_was_changed_or_signed_elsewhere_is_refused() -> None:
    payload, digest = signed(KEY, GRANT, now=NOW).split(".")
    elsewhere = signed(secrets.token_bytes(32), GRANT, now=NOW)
    changed = f"{payload[:-4]}AAA=.{digest}"
    for text in (elsewhere, changed, payload, f"{payload}.", "", ".", "ä.ö", "x" * 5000):
        with pytest.raises(BadGrant, match="not signed"):
            verifier().redeem(text)


def test_used_grants_are_forgotten_when_they_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit_grants, "USED_MAX", 2)
    now = NOW
    relay = Verifier(KEY, clock=lambda: now)
    for _ in range(2):
        relay.redeem(signed(KEY, GRANT, now=now))
    with pytest.raises(BadGrant, match="too many"):
        relay.redeem(signed(KEY, GRANT, now=now))
    now += GRANT_SECONDS + CLOCK_SKEW_SECONDS
    assert relay.redeem(signed(KEY, GRANT, now=now)) == GRANT
