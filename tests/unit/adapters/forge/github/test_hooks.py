import hmac
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.forge.github.hooks import BODY_BYTES_MAX, EVENTS, read
from adapters.forge.github.reading import Pressed
from adapters.forge.hooks import HookRefused, Malformed, Oversized, Unsigned

SECRET = b"secret"
ANN = {"id": 7, "login": "ann", "type": "User"}
COMMENT = {"id": 1, "node_id": "n1", "user": ANN, "body": "/ona fix"}
SAID = {
    "action": "created",
    "issue": {"number": 12, "pull_request": {"url": "x"}},
    "comment": COMMENT,
    "repository": {"full_name": "acme/shop"},
    "sender": ANN,
}
PRESSED = {
    "action": "requested_action",
    "requested_action": {"identifier": "stop#12"},
    "check_run": {"id": 5, "external_id": "m1", "app": {"id": 4711}, "pull_requests": []},
    "repository": {"full_name": "acme/shop"},
    "sender": ANN,
}


def headers(body: bytes, event: str = "issue_comment", secret: bytes = SECRET) -> dict[str, str]:
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "X-Hub-Signature-256": "sha256=" + hmac.digest(secret, body, "sha256").hex(),
    }


def told(payload: object, event: str = "issue_comment"):
    body = json.dumps(payload).encode()
    return read(headers(body, event), body, SECRET).told


def test_a_comment_is_read():
    comment = told(SAID)
    assert (comment.key, str(comment.place)) == ("issue_comment/1", "acme/shop#12")
    assert (comment.body, comment.foreign, comment.edited) == ("/ona fix", None, False)


def test_names_of_headers_have_any_letter_case():
    body = json.dumps(SAID).encode()
    lower = {name.lower(): value for name, value in headers(body).items()}
    assert read(lower, body, SECRET) == read(headers(body), body, SECRET)


def test_on_an_issue_nothing_is_foreign():
    assert told({**SAID, "issue": {"number": 12}}).foreign is False


def test_a_button_is_read_with_the_pull_request_that_it_names():
    assert told(PRESSED, "check_run") == Pressed(
        place=told(SAID).place, user=ANN, app=4711, run=5, mark="m1"
    )


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        ({"zen": "Keep it logically awesome."}, "ping"),
        (SAID, "issues"),
        ({**SAID, "action": "pinned"}, "issue_comment"),
        ({**SAID, "comment": {**COMMENT, "user": None}}, "issue_comment"),
        ({**SAID, "action": "edited", "changes": {}}, "issue_comment"),
        ({**PRESSED, "action": "created"}, "check_run"),
        ({**PRESSED, "requested_action": {"identifier": "fix"}}, "check_run"),
    ],
)
def test_what_is_not_for_us_says_nothing(payload, event):
    assert told(payload, event) is None


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"X-Hub-Signature-256": ""}, Unsigned),
        ({"X-Hub-Signature-256": "sha256="}, Unsigned),
        ({"X-Hub-Signature-256": "sha256=" + "0" * 64}, Unsigned),
        ({"X-Hub-Signature-256": "ü"}, Unsigned),
        ({"X-GitHub-Delivery": ""}, Malformed),
        ({"X-GitHub-Delivery": "a/b"}, Malformed),
    ],
)
def test_wrong_headers_are_refused(wrong, error):
    body = json.dumps(SAID).encode()
    with pytest.raises(error):
        read({**headers(body), **wrong}, body, SECRET)


def test_a_signature_of_another_body_or_secret_is_refused():
    body = json.dumps(SAID).encode()
    for signed in (headers(body + b" "), headers(body, secret=b"guess"), headers(body, secret=b"")):
        with pytest.raises(Unsigned):
            read(signed, body, SECRET)
    with pytest.raises(Unsigned):
        read(headers(body, secret=b""), body, b"")


def test_what_is_too_large_is_not_even_checked():
    body = b" " * (BODY_BYTES_MAX + 1)
    with pytest.raises(Oversized):
        read({}, body, SECRET)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {**SAID, "comment": None},
        {**SAID, "comment": {**COMMENT, "user": {"login": "ann"}}},
        {**SAID, "comment": {**COMMENT, "user": {"id": "7", "login": "ann"}}},
        {**SAID, "comment": {**COMMENT, "id": "x"}},
        {**SAID, "repository": {"full_name": "acme/shop#1/r2"}},
        {**SAID, "repository": {"full_name": "../.."}},
        {**SAID, "issue": {"number": "twelve"}},
        {**SAID, "action": "edited"},
    ],
)
def test_what_github_would_not_deliver_is_malformed(payload):
    with pytest.raises(Malformed):
        told(payload)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"payload=%7B%7D", b"[" * 100_000])
def test_what_is_no_json_is_malformed(body):
    with pytest.raises(Malformed):
        read(headers(body), body, SECRET)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(SAID)), inner),
    max_leaves=8,
)


@given(st.sampled_from(EVENTS), st.dictionaries(st.sampled_from(list(SAID)), JSON))
def test_nothing_signed_breaks_more_than_itself(event, changed):
    with suppress(HookRefused):
        told({**SAID, **changed}, event)
