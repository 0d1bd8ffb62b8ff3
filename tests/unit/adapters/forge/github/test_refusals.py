import time

import pytest

from adapters.chat.port import Gone, Rejected, Throttled, Unavailable, Uncertain
from adapters.forge.github.calls import RETRY_SECONDS, refusal
from adapters.forge.port import NotLetIn


def seconds(status: int, words: str = "", **headers: str) -> float:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error = refusal(status, named, words, wrote=True)
    assert isinstance(error, Throttled)
    return error.retry_seconds


@pytest.mark.parametrize(
    ("status", "wrote", "error"),
    [
        (401, True, NotLetIn),
        (403, True, Rejected),
        (404, True, Gone),
        (410, False, Gone),
        (422, True, Rejected),
        (451, True, Rejected),
        (500, True, Uncertain),
        (503, True, Uncertain),
        (503, False, Unavailable),
    ],
)
def test_a_status_has_its_meaning(status, wrote, error):
    assert type(refusal(status, {}, "words", wrote=wrote)) is error


def test_how_long_to_wait_is_what_github_says():
    assert seconds(429, retry_after="7") == 7
    assert seconds(403, retry_after="7", x_ratelimit_remaining="0") == 7
    reset = str(time.time() + 100)
    assert 98 < seconds(403, x_ratelimit_remaining="0", x_ratelimit_reset=reset) <= 100
    assert seconds(403, x_ratelimit_remaining="0", x_ratelimit_reset="1") == 1


def test_what_it_does_not_say_is_a_minute():
    assert seconds(429) == RETRY_SECONDS
    assert seconds(429, retry_after="soon") == RETRY_SECONDS
    assert seconds(403, x_ratelimit_remaining="0") == RETRY_SECONDS
    for words in (
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        "API rate limit exceeded for installation ID 1.",
        "Your request exceeded a secondary rate limit",
    ):
        assert seconds(403, words) == RETRY_SECONDS
    assert seconds(422, "Validation Failed; was submitted too quickly") == RETRY_SECONDS


def test_a_budget_that_is_left_makes_a_refusal_no_throttling():
    error = refusal(403, {"x-ratelimit-remaining": "17"}, "Forbidden", wrote=True)
    assert type(error) is Rejected
