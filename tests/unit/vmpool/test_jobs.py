"""What a guest says about jobs, understood or refused: a machine that talks nonsense is lost."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.errors import MachineError, MachineLost
from vmpool.jobs import (
    PAYLOAD_BYTES_MAX,
    header_of,
    output_of,
    question_of,
    refused_or,
    status_of,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = ("job", "state", "questions", "question", "text", "choices", "offset", "stream")
WORDS = st.dictionaries(
    st.sampled_from(NAMES),
    JSON | st.sampled_from(["running", "stdout", 0, []]),
)


@given(st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_a_header_or_a_lost_machine(line):
    try:
        header, size = header_of(line)
    except MachineLost:
        return
    assert isinstance(header, dict)
    assert 0 <= size <= PAYLOAD_BYTES_MAX


@given(WORDS)
def test_any_words_are_understood_or_a_lost_machine(words):
    for read in (status_of, question_of, lambda said: output_of(said, b"")):
        with contextlib.suppress(MachineLost):
            read(words)


@given(st.dictionaries(st.sampled_from(["error", "why", "frame"]), JSON))
def test_any_answer_is_one_or_a_refusal(answer):
    with contextlib.suppress(MachineError):
        refused_or(answer)


@pytest.mark.parametrize("size", [-1, PAYLOAD_BYTES_MAX + 1, "x", None, [], 1e400])
def test_a_payload_has_a_size_that_can_be_held(size):
    with pytest.raises(MachineLost, match="not to be understood"):
        header_of(json.dumps({"bytes": size}).encode())
