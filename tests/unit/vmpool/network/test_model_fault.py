"""What of a provider's answers is the provider's failure."""

import json

import pytest

from vmpool.network.model.fault import fault_of
from vmpool.network.model.usage import UsageReader

CREDIT = "Your credit balance is too low to access the API."
CASES = {
    "it answers": (200, {}, False, None),
    "whoever asked hung up before": (0, {}, False, None),
    "whoever asked hung up in between": (200, {}, False, None),
    "the request is wrong": (400, {"type": "invalid_request_error"}, False, None),
    "the request is too long": (413, {"type": "request_too_large"}, False, None),
    "overloaded": (529, {"type": "overloaded_error"}, False, "overloaded"),
    "overloaded, without words": (529, {}, False, "overloaded"),
    "away for maintenance": (503, {}, False, "overloaded"),
    "overloaded in a stream": (200, {"type": "overloaded_error"}, False, "overloaded"),
    "its rate": (429, {"type": "rate_limit_error"}, False, "limited"),
    "its rate, without words": (429, {}, False, "limited"),
    "its rate in a stream": (200, {"code": "rate_limit_exceeded"}, False, "limited"),
    "no quota": (
        429,
        {"type": "x", "code": "insufficient_quota"},
        False,
        "unpaid",
    ),
    "no money": (402, {}, False, "unpaid"),
    "no credit": (400, {"type": "invalid_request_error", "message": CREDIT}, False, "unpaid"),
    "a wrong key": (401, {"type": "authentication_error"}, False, "denied"),
    "a wrong key, by its code": (
        401,
        {"type": "invalid_request_error", "code": "invalid_api_key"},
        False,
        "denied",
    ),
    "not for this key": (403, {"type": "permission_error"}, False, "denied"),
    "no such model": (404, {"type": "not_found_error"}, False, "unknown"),
    "no such model, by its code": (
        400,
        {"type": "invalid_request_error", "code": "model_not_found"},
        False,
        "unknown",
    ),
    "an error of its own": (500, {"type": "api_error"}, False, "broken"),
    "a proxy before it": (502, {}, False, "broken"),
    "an error of its own in a stream": (200, {"code": "server_error"}, False, "broken"),
    "it was too slow": (408, {}, False, "broken"),
    "its answer was cut": (200, {}, True, "broken"),
    "its answer was cut after an error": (200, {"type": "overloaded_error"}, True, "overloaded"),
    "nobody answers": (0, {}, True, "unreachable"),
    "names that are none": (200, {"type": 7, "code": None, "message": None}, False, None),
}


@pytest.mark.parametrize(("status", "error", "is_cut", "fault"), CASES.values(), ids=CASES)
def test_a_failure_is_what_another_provider_could_mend(status, error, is_cut, fault):
    assert fault_of(status, error, is_cut=is_cut) == fault


ERRORS = {
    "anthropic's body": ("anthropic", False, {"type": "error", "error": {"type": "api_error"}}),
    "openai's body": ("openai", False, {"error": {"type": "x", "code": "api_error"}}),
    "anthropic's stream": ("anthropic", True, {"type": "error", "error": {"type": "api_error"}}),
    "a chat's stream": ("openai", True, {"error": {"code": "api_error"}}),
    "a response's stream": ("openai", True, {"type": "error", "code": "api_error"}),
    "a response that failed": (
        "openai",
        True,
        {"type": "response.failed", "response": {"error": {"code": "api_error"}, "usage": None}},
    ),
}


@pytest.mark.parametrize(("provider", "is_stream", "said"), ERRORS.values(), ids=ERRORS)
def test_what_a_provider_says_is_wrong_is_read_wherever_it_stands(provider, is_stream, said):
    data = json.dumps(said)
    reader = UsageReader(provider, is_stream=is_stream)
    for byte in (f"event: x\ndata: {data}\n\n" if is_stream else data).encode():
        reader.feed(bytes([byte]))
    reader.end()
    assert fault_of(200, reader.error, is_cut=False) == "broken"


def test_words_of_a_model_are_no_error():
    reader = UsageReader("openai", is_stream=True)
    done = {"type": "response.completed", "response": {"error": None, "usage": {"input_tokens": 1}}}
    for said in ({"type": "response.output_text.delta", "delta": 'an "error"'}, done):
        reader.feed(f"data: {json.dumps(said)}\n\n".encode())
    reader.end()
    assert reader.error == {}
