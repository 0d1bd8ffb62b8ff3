"""What a request to a model may use at most, and how it is changed."""

import json

import pytest

from vmpool.network.model.asking import (
    BYTES_PER_TOKEN_MIN,
    OUTPUT_TOKENS_MAX,
    NotMetered,
    Unreadable,
    is_free,
    read,
)


def asked(provider, path, **body):
    return read(provider, "POST", path, json.dumps({"model": "m-1", **body}).encode())


def test_what_needs_no_change_goes_out_byte_for_byte():
    body = b'{ "model":"claude",  "max_tokens": 50, "stream": true, "messages": [] }'
    found = read("anthropic", "POST", "v1/messages", body)
    assert found.body is body
    assert (found.model, found.is_stream) == ("claude", True)
    assert found.worst.output_tokens == 50
    assert found.worst.cache_write_tokens == -(-len(body) // BYTES_PER_TOKEN_MIN)


@pytest.mark.parametrize(
    ("provider", "path", "limit"),
    [
        ("anthropic", "v1/messages", "max_tokens"),
        ("openai", "v1/chat/completions", "max_completion_tokens"),
        ("openai", "v1/responses", "max_output_tokens"),
    ],
)
def test_a_request_without_a_limit_gets_one(provider, path, limit):
    found = asked(provider, path)
    assert json.loads(found.body)[limit] == OUTPUT_TOKENS_MAX
    assert found.worst.output_tokens == OUTPUT_TOKENS_MAX
    assert not found.is_stream


@pytest.mark.parametrize(
    ("provider", "path"), [("anthropic", "v1/messages"), ("openai", "v1/chat/completions")]
)
def test_half_a_character_goes_out_as_it_came(provider, path):
    body = rb'{"model": "m-1", "stream": true, "messages": ["\ud83d", "\u00e9"]}'
    found = read(provider, "POST", path, body)
    assert rb"\ud83d" in found.body
    assert json.loads(found.body)["messages"] == json.loads(body)["messages"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "dear", "model": "cheap", "max_tokens": 5}',
        b'{"model": "cheap", "max_tokens": 50000, "max_tokens": 5}',
        b'{"model": "cheap", "max_tokens": 5, "metadata": {"a": 1, "a": 2}}',
    ],
)
def test_what_two_readers_could_read_differently_is_refused(body):
    with pytest.raises(Unreadable, match="twice"):
        read("anthropic", "POST", "v1/messages", body)


@pytest.mark.parametrize(
    "changed", [{"model": "m\0"}, {"model": "m" * 201}, {"model": "m m"}, {"max_tokens": 10**18}]
)
def test_what_could_not_be_written_down_is_refused(changed):
    with pytest.raises(Unreadable):
        asked("anthropic", "v1/messages", **{"max_tokens": 5, **changed})


def test_the_older_name_of_the_limit_counts():
    found = asked("openai", "v1/chat/completions", max_tokens=9)
    assert found.worst.output_tokens == 9
    assert "max_completion_tokens" not in json.loads(found.body)


def test_a_chat_that_is_streamed_is_made_to_tell_its_usage():
    found = asked(
        "openai",
        "v1/chat/completions",
        stream=True,
        max_tokens=1,
        stream_options={"include_obfuscation": False},
    )
    sent = json.loads(found.body)
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert "stream_options" not in json.loads(asked("openai", "v1/responses", stream=True).body)


@pytest.mark.parametrize(
    ("provider", "method", "path"),
    [
        ("anthropic", "GET", "v1/messages"),
        ("anthropic", "POST", "v1/messages/batches"),
        ("anthropic", "POST", "v1/files"),
        ("anthropic", "POST", "v1/chat/completions"),
        ("openai", "POST", "v1/embeddings"),
        ("openai", "POST", "v1/messages"),
        ("openai", "DELETE", "v1/models/m"),
        ("openai", "POST", "v1/responses/../files"),
        ("openai", "POST", ""),
    ],
)
def test_nothing_else_is_let_through(provider, method, path):
    assert not is_free(provider, method, path)
    with pytest.raises(NotMetered, match="only metered"):
        read(provider, method, path, b'{"model": "m"}')


@pytest.mark.parametrize(
    ("provider", "method", "path"),
    [
        ("anthropic", "GET", "v1/models"),
        ("anthropic", "POST", "v1/messages/count_tokens"),
        ("openai", "HEAD", "v1/models/gpt-5"),
    ],
)
def test_what_costs_nothing_is(provider, method, path):
    assert is_free(provider, method, path)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no JSON"),
        (b"[]", "no JSON object"),
        (b"[" * 100_000, "no JSON"),
        (b"{}", "names no model"),
        (b'{"model": 7}', "names no model"),
        (b'{"model": "m", "max_completion_tokens": 0}', "number of tokens"),
        (b'{"model": "m", "max_completion_tokens": true}', "number of tokens"),
        (b'{"model": "m", "max_tokens": "all"}', "number of tokens"),
        (b'{"model": "m", "n": 3}', "`n` may only be 1"),
        (b'{"model": "m", "background": true}', "`background`"),
    ],
)
def test_what_could_not_be_metered_is_refused_in_words(body, words):
    with pytest.raises(Unreadable, match=words):
        read("openai", "POST", "v1/chat/completions", body)
