"""What an answer used, however its bytes are cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.network.model import usage as usage_module
from vmpool.network.model.usage import Usage, UsageReader


def sse(*events, done=False):
    lines = [f"event: {one.get('type', 'x')}\ndata: {json.dumps(one)}\n\n" for one in events]
    return ("".join(lines) + ("data: [DONE]\n\n" if done else "")).encode()


ANTHROPIC = sse(
    {
        "type": "message_start",
        "message": {
            "usage": {
                "input_tokens": 12,
                "cache_read_input_tokens": 300,
                "cache_creation_input_tokens": 40,
                "output_tokens": 1,
            }
        },
    },
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 'a "usage" of words'}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 77}},
    {"type": "message_stop"},
)
CHAT = sse(
    {"choices": [{"delta": {"content": "hi"}}], "usage": None},
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 50,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 20},
        },
    },
    done=True,
)
RESPONSES = sse(
    {"type": "response.created", "response": {"usage": None}},
    {
        "type": "response.completed",
        "response": {
            "output": ["x" * 500],
            "usage": {
                "input_tokens": 9,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens": 3,
            },
        },
    },
)
STREAMS = {
    "anthropic": (
        "anthropic",
        ANTHROPIC,
        Usage(input_tokens=12, cache_read_tokens=300, cache_write_tokens=40, output_tokens=77),
    ),
    "chat": ("openai", CHAT, Usage(input_tokens=30, cache_read_tokens=20, output_tokens=7)),
    "responses": ("openai", RESPONSES, Usage(input_tokens=5, cache_read_tokens=4, output_tokens=3)),
}


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=st.lists(st.integers(0, 1500), max_size=12))
def test_a_stream_tells_the_same_wherever_it_is_cut(name, cuts):
    provider, stream, told = STREAMS[name]
    reader = UsageReader(provider, is_stream=True)
    at = 0
    for cut in sorted(cuts):
        reader.feed(stream[at:cut])
        at = max(at, cut)
    reader.feed(stream[at:])
    reader.end()
    assert reader.usage == told
    assert reader.is_whole


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_cut_off_is_not_whole(name):
    provider, stream, _ = STREAMS[name]
    reader = UsageReader(provider, is_stream=True)
    reader.feed(stream[: int(len(stream) * 0.6)])
    reader.end()
    assert not reader.is_whole


def test_what_is_told_before_a_stream_is_cut_is_kept():
    reader = UsageReader("anthropic", is_stream=True)
    reader.feed(ANTHROPIC[: ANTHROPIC.index(b"message_delta")])
    assert reader.usage == Usage(
        input_tokens=12, cache_read_tokens=300, cache_write_tokens=40, output_tokens=1
    )


@pytest.mark.parametrize(
    ("provider", "body", "told"),
    [
        (
            "anthropic",
            {"type": "message", "usage": {"input_tokens": 3, "output_tokens": 4}},
            Usage(input_tokens=3, output_tokens=4),
        ),
        (
            "openai",
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
            Usage(input_tokens=3, output_tokens=4),
        ),
        (
            "openai",
            {"object": "response", "usage": {"input_tokens": 3, "output_tokens": 4}},
            Usage(input_tokens=3, output_tokens=4),
        ),
    ],
)
def test_an_answer_in_one_piece_tells_it_too(provider, body, told):
    reader = UsageReader(provider, is_stream=False)
    for byte in json.dumps(body, indent=1).encode():
        reader.feed(bytes([byte]))
    reader.end()
    assert reader.usage == told
    assert reader.is_whole


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[" * 100_000,
        b'{"usage": 7}',
        b'{"usage": {"input_tokens": "many", "output_tokens": -3}}',
        b'{"usage": {"input_tokens": true}}',
    ],
)
def test_nonsense_tells_nothing_and_breaks_nothing(body):
    for is_stream, prefix in ((False, b""), (True, b"data: ")):
        reader = UsageReader("anthropic", is_stream=is_stream)
        reader.feed(prefix + body + b"\n" * is_stream)
        reader.end()
        assert reader.usage in {None, Usage()}


@given(st.binary(max_size=400))
def test_any_bytes_are_read(data):
    for provider in ("anthropic", "openai"):
        reader = UsageReader(provider, is_stream=True)
        reader.feed(data)
        reader.end()


def test_a_line_over_its_limit_is_let_through_unread(monkeypatch):
    monkeypatch.setattr(usage_module, "LINE_BYTES_MAX", 200)
    reader = UsageReader("openai", is_stream=True)
    reader.feed(b'data: {"usage": {"prompt_tokens": 1}, "x": "' + b"x" * 300)
    reader.feed(b'"}\n')
    assert reader.usage is None
    reader.feed(b'data: {"choices": [], "usage": {"prompt_tokens": 5}}\n')
    assert reader.usage == Usage(input_tokens=5)


def test_a_body_over_its_limit_is_let_through_unread(monkeypatch):
    monkeypatch.setattr(usage_module, "BODY_BYTES_MAX", 20)
    reader = UsageReader("openai", is_stream=False)
    reader.feed(b'{"usage": {"prompt_tokens": 5}}')
    reader.end()
    assert reader.usage is None
    assert not reader.is_whole
