"""How late an event was shown, as `make bench` counts it."""

import pytest

from tests.bench.overhead import beyond

ARRIVED = [(10.0, "Working …"), (12.0, "t0w1."), (14.5, "t0w1.t0w2.t0w3."), (20.0, "Done.")]


def test_an_event_is_shown_by_the_first_text_with_its_last_word_in_it():
    said = [(11.0, "t0w1."), (12.25, "t0w2.t0w3.")]
    assert beyond(said, ARRIVED, 2.0) == [-1.0, 0.25]


def test_an_event_that_was_never_shown_is_an_error_and_not_left_out():
    with pytest.raises(AssertionError, match="never shown"):
        beyond([(11.0, "t0w9.")], ARRIVED, 2.0)
