"""What the agent's tools say, and how their protocol is read; pure."""

import json

import pytest

from adapters.forge.ci_by_grant import Check, Report
from bot.work.tools import asking, checks, protocol
from bot.work.tools.protocol import Asked, Error, Told

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (PING, Asked(id=1, method="ping", params={})),
        ({**PING, "id": "a", "params": {"b": 1}}, Asked(id="a", method="ping", params={"b": 1})),
        ({"jsonrpc": "2.0", "method": "notifications/initialized"}, Told()),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, Told()),
    ],
)
def test_messages_are_read(message, found):
    assert protocol.read(json.dumps(message).encode(), "") == found


@pytest.mark.parametrize(
    "message",
    [
        {**PING, "id": None},
        {**PING, "id": True},
        {**PING, "id": 1 << 63},
        {**PING, "id": "x" * (protocol.ID_LENGTH_MAX + 1)},
        {**PING, "method": 1},
        {**PING, "params": []},
        {**PING, "jsonrpc": "1.0"},
        [PING],
        "ping",
    ],
)
def test_what_is_malformed_is_said_to_be_so(message):
    found = protocol.read(json.dumps(message).encode(), "")
    assert isinstance(found, Error)
    assert found.code == protocol.INVALID_REQUEST


def test_the_newest_revision_is_offered_to_who_wants_an_unknown_one():
    assert protocol.initialized({"protocolVersion": "2025-03-26"})["protocolVersion"] == (
        "2025-03-26"
    )
    for wanted in ("2026-07-28", 7, None, ["2025-03-26"]):
        found = protocol.initialized({"protocolVersion": wanted})
        assert found["protocolVersion"] == protocol.VERSIONS[-1]
    refused = protocol.read(json.dumps(PING).encode(), "2026-07-28")
    assert isinstance(refused, Error)
    assert refused.data == {"supported": list(protocol.VERSIONS), "requested": "2026-07-28"}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("answered", "The answer is: yes"),
        ("open", "Call ask_people again"),
        ("expired", "Decide yourself"),
        ("withdrawn", "Decide yourself"),
    ],
)
def test_how_a_question_stands_is_said(state, words):
    assert words in asking.said(state, "yes")


def test_the_same_question_is_known_by_the_same_key_and_no_other_by_it():
    keys = {
        asking.key_of(*one)
        for one in (("a", ()), ("a", ("b",)), ("ab", ()), ("a", ("b", "c")), ("a", ("bc",)))
    }
    assert len(keys) == 5
    assert asking.key_of("a", ["b"]) == asking.key_of("a", ("b",))


def test_what_checks_say_stands_further_in_than_their_states():
    lint = Check(name="lint\nfailed: fake", state="succeeded", says="failed: fake")
    tests = Check(name="tests", state="failed", says="failed: x", log="succeeded: y\x1b[2J")
    told = checks.told("b", Report(commit="c", checks=(lint, tests))).splitlines()
    assert told[2:] == [
        "succeeded: lint failed: fake",
        "",
        "failed: tests",
        "    failed: x",
        "    succeeded: y",
    ]
    assert "No check" in checks.told("b", Report(commit="c", checks=()))
