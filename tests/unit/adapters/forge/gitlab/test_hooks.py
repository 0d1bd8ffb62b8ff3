"""Deliveries of GitLab's webhooks, verified and read."""

import base64
import hashlib
import hmac
import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.forge.gitlab.hooks import BODY_BYTES_MAX, CLOCK_SECONDS_MAX, read
from adapters.forge.gitlab.reading import Award, Note
from adapters.forge.hooks import HookRefused, Malformed, Oversized, Unsigned

SECRET = "a secret token"
KEY = b"0123456789abcdef0123456789abcdef"
SIGNING = f"whsec_{base64.b64encode(KEY).decode()}"
NOW = 1_800_000_000

PROJECT = {
    "id": 5,
    "path_with_namespace": "acme/api",
    "git_http_url": "https://gitlab.test/acme/api.git",
}
NOTE = {
    "object_kind": "note",
    "event_type": "note",
    "user": {"id": 7, "username": "ann"},
    "project": PROJECT,
    "object_attributes": {
        "id": 1244,
        "note": "/ona fix it",
        "noteable_type": "MergeRequest",
        "author_id": 7,
        "discussion_id": "d0",
        "type": None,
        "internal": False,
        "system": False,
        "updated_by_id": None,
        "action": "create",
    },
    "merge_request": {"iid": 1, "source_project_id": 5, "target_project_id": 5},
}
EMOJI = {
    "object_kind": "emoji",
    "event_type": "award",
    "user": {"id": 7, "username": "ann"},
    "project": PROJECT,
    "object_attributes": {
        "user_id": 7,
        "id": 31,
        "name": "x",
        "awardable_type": "Note",
        "awardable_id": 1244,
        "action": "award",
    },
    "note": {"id": 1244, "author_id": 9, "noteable_type": "Issue"},
    "issue": {"iid": 42},
}


def told(data, *, headers=None, secret=SECRET):
    known = {"X-Gitlab-Token": SECRET, "Idempotency-Key": "k1"} if headers is None else headers
    return read(known, json.dumps(data).encode(), secret, now=NOW)


def changed(data, **parts):
    made = deepcopy(data)
    for path, value in parts.items():
        inner = made
        *way, last = path.split("__")
        for name in way:
            inner = inner[name]
        inner[last] = value
    return made


def signed(body, *, key=KEY, at=NOW, name="msg_1"):
    digest = hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1a,xx v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": name, "Webhook-Timestamp": str(at), "webhook-signature": signature}


def test_a_note_is_read():
    assert told(NOTE) == Note(
        project="acme/api",
        clone_url="https://gitlab.test/acme/api.git",
        kind="merge_requests",
        iid=1,
        id=1244,
        author_id=7,
        author_name="ann",
        body="/ona fix it",
        delivery="k1/1244",
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"object_attributes__type": "DiffNote"}, {"discussion": "d0"}),
        ({"object_attributes__internal": True}, {"is_internal": True}),
        ({"merge_request__source_project_id": 6}, {"is_from_fork": True}),
        ({"merge_request__source_project_id": None}, {"is_from_fork": True}),
        (
            {"object_attributes__action": "update", "object_attributes__updated_by_id": 7},
            {"is_edited": True, "is_new": True},
        ),
        ({"object_attributes__action": "update"}, {"is_edited": True, "is_new": False}),
    ],
)
def test_what_kind_of_note_it_is(parts, expected):
    note = told(changed(NOTE, **parts))
    assert {name: getattr(note, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("event", "confidential", "internal"),
    [
        ("note", False, False),
        ("confidential_note", False, True),
        ("confidential_note", True, False),
    ],
)
def test_versions_that_do_not_tell_internal_notes(event, confidential, internal):
    data = changed(NOTE, event_type=event, issue={"iid": 3, "confidential": confidential})
    data["object_attributes"] |= {"noteable_type": "Issue"}
    del data["object_attributes"]["internal"]
    assert told(data).is_internal is internal
    assert told(data).is_confidential is confidential


@pytest.mark.parametrize(
    "data",
    [
        changed(NOTE, object_attributes__system=True),
        changed(NOTE, object_attributes__noteable_type="Commit"),
        changed(NOTE, object_attributes__noteable_type="Snippet"),
        changed(NOTE, object_attributes__action="update", object_attributes__updated_by_id=8),
        changed(EMOJI, object_attributes__action="revoke"),
        changed(EMOJI, object_attributes__awardable_type="Issue"),
        changed(EMOJI, note__noteable_type="Commit"),
        {"object_kind": "push"},
    ],
)
def test_what_is_not_for_us(data):
    assert told(data) is None


def test_an_award_is_read():
    assert told(EMOJI) == Award(
        project="acme/api",
        id=31,
        name="x",
        user_id=7,
        user_name="ann",
        note_id=1244,
        note_author_id=9,
    )


@pytest.mark.parametrize(
    ("headers", "delivery"),
    [
        ({"webhook-id": "a", "idempotency-key": "b"}, "a"),
        ({"Idempotency-Key": "b", "X-Gitlab-Event-UUID": "c"}, "b"),
        ({"X-Gitlab-Webhook-UUID": "d", "X-Gitlab-Event-UUID": "c"}, "d"),
        ({"X-Gitlab-Event-UUID": "c"}, "c"),
        ({}, ""),
    ],
)
def test_the_id_of_a_delivery(headers, delivery):
    note = told(NOTE, headers={"X-Gitlab-Token": SECRET, **headers})
    assert note.delivery == f"{delivery}/1244"


@pytest.mark.parametrize("token", ["", "a secret", "a secret token ", "ä", SIGNING])
def test_a_wrong_secret_is_forged(token):
    with pytest.raises(Unsigned):
        told(NOTE, headers={"X-Gitlab-Token": token})
    with pytest.raises(Unsigned):
        told(NOTE, headers={})


def test_a_signature_is_verified():
    body = json.dumps(NOTE).encode()
    assert read(signed(body), body, SIGNING, now=NOW).id == 1244
    for wrong in (
        signed(body, key=b"another"),
        signed(body) | {"webhook-id": "msg_2"},
        signed(body) | {"Webhook-Timestamp": str(NOW + 1)},
        {"X-Gitlab-Token": SIGNING},
        {},
    ):
        with pytest.raises(Unsigned):
            read(wrong, body, SIGNING, now=NOW)
    with pytest.raises(Unsigned):
        read(signed(body), body + b" ", SIGNING, now=NOW)


@pytest.mark.parametrize("late", [CLOCK_SECONDS_MAX + 1, -CLOCK_SECONDS_MAX - 1])
def test_an_old_signature_is_forged(late):
    body = json.dumps(NOTE).encode()
    with pytest.raises(Unsigned):
        read(signed(body), body, SIGNING, now=NOW + late)


def test_a_signed_time_that_is_none_is_forged():
    body = json.dumps(NOTE).encode()
    with pytest.raises(Unsigned):
        read(signed(body, at="soon"), body, SIGNING, now=NOW)


def test_too_long_a_body_is_not_even_verified():
    with pytest.raises(Oversized):
        read({}, b" " * (BODY_BYTES_MAX + 1), SECRET, now=NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(NOTE).replace("1244", "1e999").encode(),
        b'{"object_kind": "note"}',
        b'{"object_kind": "note", "object_attributes": []}',
        json.dumps(changed(NOTE, object_attributes__id="x")).encode(),
        json.dumps(changed(NOTE, merge_request=None)).encode(),
        json.dumps(changed(EMOJI, note=None)).encode(),
    ],
)
def test_what_gitlab_does_not_send_is_malformed(body):
    with pytest.raises(Malformed):
        read({"X-Gitlab-Token": SECRET}, body, SECRET, now=NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*NOTE, *NOTE["object_attributes"], "note"]), inner)
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["note", "emoji"]))
def test_any_body_is_read_or_refused(data, kind):
    if isinstance(data, dict):
        data["object_kind"] = kind
    try:
        found = told(data)
    except HookRefused:
        return
    assert found is None or isinstance(found, Note | Award)
