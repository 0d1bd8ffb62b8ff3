"""A machine that takes no word about a turn's job: how long nobody tries, and what is said."""

from hypothesis import given
from hypothesis import strategies as st

from bot.work import unreached
from bot.work.unreached import PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN, TOLD_AT, UNREACHED_MAX


def test_pauses_double_up_to_their_limit():
    pauses = [unreached.pause_seconds(times) for times in range(1, UNREACHED_MAX)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


@given(times=st.integers(1, 10_000))
def test_no_pause_is_shorter_than_the_one_before_or_longer_than_the_limit(times):
    before, after = unreached.pause_seconds(times), unreached.pause_seconds(times + 1)
    assert PAUSE_SECONDS_MIN <= before <= after <= PAUSE_SECONDS_MAX


def test_the_thread_is_told_once_while_there_is_something_to_wait_for():
    assert TOLD_AT < UNREACHED_MAX
    told = [times for times in range(1, UNREACHED_MAX + 1) if unreached.told(times)]
    assert told == [TOLD_AT]


def test_the_end_says_what_happened_what_was_kept_and_what_to_do():
    error = unreached.too_often(8)
    assert "did not answer for this turn's command 8 times in a row" in error.happened
    assert "the last checkpoint are kept, nothing was run again" in error.kept
    assert "`retry`" in error.do
    assert "`ona machines destroy`" in error.do
