"""Tokens: what is final goes first, what is live leaves a reserve."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.chat.port import AfterUncertain, Rate
from bot.conversation.attempt import (
    ATTEMPTS_MAX,
    BACKOFF_SECONDS_MAX,
    Action,
    Progress,
    backoff_seconds,
    next_action,
)
from bot.conversation.budget import Grant, Wait, decide, filled, throttled

PATIENT = settings(deadline=None)
RATE = Rate(burst=10, per_second=2)
TOKENS = st.floats(-100, 10)


def test_what_is_final_takes_the_last_token():
    assert decide(1.0, final=True, rate=RATE) == Grant(tokens=0.0)
    assert decide(0.5, final=True, rate=RATE) == Wait(seconds=0.25, tokens=0.5)


def test_what_is_live_leaves_a_reserve():
    assert decide(4.0, final=False, rate=RATE) == Grant(tokens=3.0)
    assert decide(3.5, final=False, rate=RATE) == Wait(seconds=0.25, tokens=3.5)


def test_a_bucket_of_one_can_still_be_used_by_what_is_live():
    assert decide(1.0, final=False, rate=Rate(burst=1, per_second=1)) == Grant(tokens=0.0)


@PATIENT
@given(TOKENS, st.booleans())
def test_who_waits_as_long_as_told_is_granted(tokens, final):
    decided = decide(tokens, final=final, rate=RATE)
    if isinstance(decided, Wait):
        later = filled(decided.tokens, elapsed_seconds=decided.seconds + 1e-6, rate=RATE)
        assert isinstance(decide(later, final=final, rate=RATE), Grant)


@PATIENT
@given(TOKENS)
def test_what_is_live_is_never_granted_where_what_is_final_is_not(tokens):
    if isinstance(decide(tokens, final=False, rate=RATE), Grant):
        assert isinstance(decide(tokens, final=True, rate=RATE), Grant)


@PATIENT
@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
def test_no_more_is_granted_than_the_surface_allows(calls):
    tokens, seconds, granted = RATE.burst, 0.0, 0
    for pause, final in calls:
        seconds += pause
        tokens = filled(tokens, elapsed_seconds=pause, rate=RATE)
        decided = decide(tokens, final=final, rate=RATE)
        granted += isinstance(decided, Grant)
        tokens = decided.tokens
    assert granted <= RATE.burst + seconds * RATE.per_second + 1e-6


def test_a_bucket_fills_to_its_burst_and_a_clock_that_steps_back_adds_nothing():
    assert filled(9.0, elapsed_seconds=100, rate=RATE) == 10
    assert filled(3.0, elapsed_seconds=-100, rate=RATE) == 3.0


def test_a_throttled_bucket_grants_again_when_the_surface_said():
    tokens = throttled(retry_seconds=30, per_second=2)
    before = filled(tokens, elapsed_seconds=29.9, rate=RATE)
    after = filled(tokens, elapsed_seconds=30, rate=RATE)
    assert isinstance(decide(before, final=True, rate=RATE), Wait)
    assert isinstance(decide(after, final=True, rate=RATE), Grant)


def progress(**known):
    facts = {
        "live": False,
        "final": True,
        "posted": False,
        "unfinished": False,
        "attempts": 0,
        "muted": False,
    }
    return Progress(**{**facts, **known})


LOOK_UP, POST_AGAIN, GIVE_UP = AfterUncertain


@pytest.mark.parametrize(
    ("known", "after_uncertain", "action"),
    [
        ({}, LOOK_UP, Action.POST),
        ({"posted": True}, LOOK_UP, Action.EDIT),
        ({"posted": True, "muted": True}, LOOK_UP, Action.EDIT),
        ({"posted": True, "unfinished": True}, GIVE_UP, Action.EDIT),
        ({"muted": True}, LOOK_UP, Action.KEEP_QUIET),
        ({"unfinished": True}, LOOK_UP, Action.LOOK_UP),
        ({"unfinished": True, "muted": True}, LOOK_UP, Action.LOOK_UP),
        ({"unfinished": True}, POST_AGAIN, Action.POST),
        ({"unfinished": True}, GIVE_UP, Action.GIVE_UP),
        ({"unfinished": True, "attempts": ATTEMPTS_MAX}, LOOK_UP, Action.LOOK_UP),
        ({"unfinished": True, "attempts": 2 * ATTEMPTS_MAX}, LOOK_UP, Action.GIVE_UP),
        ({"attempts": ATTEMPTS_MAX}, LOOK_UP, Action.STOP_TRYING),
        ({"live": True, "final": False}, LOOK_UP, Action.POST),
        ({"live": True, "final": True}, LOOK_UP, Action.SKIP),
    ],
)
def test_what_may_have_been_posted_is_never_posted_before_it_is_looked_up(
    known, after_uncertain, action
):
    assert next_action(progress(**known), after_uncertain) is action


@PATIENT
@given(st.integers(1, 100), st.floats(0, 1))
def test_a_back_off_doubles_is_bounded_and_spread(attempts, chance):
    seconds = backoff_seconds(attempts, chance=chance)
    full = min(BACKOFF_SECONDS_MAX, 2.0 ** (attempts - 1))
    assert full / 2 <= seconds <= full


def test_what_a_surface_knows_for_a_short_time_is_tried_many_times_in_it():
    pauses = [backoff_seconds(n, chance=1.0, known_seconds=120.0) for n in range(1, 13)]
    assert sum(pauses) <= 120.0
    assert max(pauses) == 10.0
