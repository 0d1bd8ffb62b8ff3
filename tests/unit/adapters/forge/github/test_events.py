"""What GitHub's webhooks tell of what happens in repositories."""

import hmac
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.forge.github.hooks import EVENTS, read
from adapters.forge.happened import BODY_LENGTH_MAX, LABELS_MAX, TITLE_LENGTH_MAX
from adapters.forge.hooks import HookRefused, Malformed

SECRET = b"secret"
ANN = {"id": 7, "login": "ann", "type": "User"}
A, B, NONE = "a" * 40, "b" * 40, "0" * 40
REPOSITORY = {
    "id": 1,
    "full_name": "acme/shop",
    "default_branch": "main",
    "pushed_at": 1_796_000_000,
    "html_url": "https://github.com/acme/shop",
}
PULL = {
    "number": 12,
    "title": "Mend it",
    "body": None,
    "user": ANN,
    "draft": False,
    "labels": [{"name": "bug"}],
    "html_url": "https://github.com/acme/shop/pull/12",
    "created_at": "2026-11-28T12:00:00Z",
    "updated_at": "2026-11-28T13:00:00Z",
    "closed_at": None,
    "merged": False,
    "head": {"ref": "work", "sha": A, "repo": {"id": 1}},
    "base": {"ref": "main", "sha": B, "repo": {"id": 1}},
}
CLOSED = {**PULL, "closed_at": "2026-11-28T14:00:00Z"}
ISSUE = {
    "number": 7,
    "title": "It breaks",
    "body": "Often",
    "user": ANN,
    "labels": [{"name": "bug"}],
    "updated_at": "2026-11-28T13:00:00Z",
}
RUN = {
    "id": 5,
    "name": "unit",
    "head_sha": A,
    "conclusion": "failure",
    "completed_at": "2026-11-28T13:00:00Z",
    "check_suite": {"head_branch": "work"},
}
STATUS = {
    "id": 6,
    "sha": A,
    "state": "failure",
    "context": "deploy",
    "updated_at": "2026-11-28T13:00:00Z",
    "branches": [
        {"name": "work", "commit": {"sha": A}},
        {"name": "main", "commit": {"sha": A}},
        {"name": "old", "commit": {"sha": B}},
    ],
}
REVIEW = {
    "id": 31,
    "node_id": "n",
    "user": ANN,
    "body": "",
    "state": "approved",
    "submitted_at": "2026-11-28T13:00:00Z",
}


def happened(event: str, payload: dict):
    body = json.dumps({"repository": REPOSITORY, "sender": ANN, **payload}).encode()
    headers = {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": "d1",
        "X-Hub-Signature-256": "sha256=" + hmac.digest(SECRET, body, "sha256").hex(),
    }
    return read(headers, body, SECRET).happened


def pull(action: str, said=PULL, **more):
    return happened("pull_request", {"action": action, "pull_request": said, **more})


@pytest.mark.parametrize(
    ("found", "key"),
    [
        (pull("opened"), "pull_request/12/opened"),
        (pull("synchronize"), f"pull_request/12/updated/{A}"),
        (pull("ready_for_review"), f"pull_request/12/ready/{A}"),
        (pull("closed", CLOSED), "pull_request/12/closed/2026-11-28T14:00:00Z"),
        (pull("closed", {**CLOSED, "merged": True}), "pull_request/12/merged"),
        (
            pull("review_requested", requested_reviewer={"login": "bo"}),
            f"pull_request/12/review_requested/bo/{A}",
        ),
        (
            pull("review_requested", requested_team={"slug": "web"}),
            f"pull_request/12/review_requested/team/web/{A}",
        ),
        (
            happened(
                "pull_request_review",
                {"action": "submitted", "review": REVIEW, "pull_request": PULL},
            ),
            "pull_request/12/approved/31",
        ),
        (
            happened("push", {"ref": "refs/heads/a/b", "before": B, "after": A}),
            f"push/a/b/{B[:12]}..{A}",
        ),
        (happened("issues", {"action": "labeled", "issue": ISSUE, "label": {"name": "bug"}}), ""),
        (happened("check_run", {"action": "completed", "check_run": RUN}), f"ci/{A}/check/5"),
        (happened("status", STATUS), f"ci/{A}/status/6"),
    ],
)
def test_what_happened_is_told_with_its_key(found, key):
    (event,) = found
    assert event.key == key
    assert event.repository == "acme/shop"
    assert event.default_branch == "main"


def test_what_a_pull_request_says_of_itself():
    (event,) = pull("opened")
    assert {name: event.about[name] for name in ("number", "branch", "base", "commit")} == {
        "number": 12,
        "branch": "work",
        "base": "main",
        "commit": A,
    }
    assert event.about["labels"] == ("bug",)
    assert not event.from_fork
    elsewhere = {**PULL, "head": {**PULL["head"], "repo": {"id": 2}}}
    assert pull("opened", elsewhere)[0].from_fork
    gone = {**PULL, "head": {**PULL["head"], "repo": None}}
    assert pull("opened", gone)[0].from_fork


def test_a_status_is_about_the_default_branch_where_that_is_one_of_several():
    assert happened("status", STATUS)[0].about["branch"] == "main"
    (other,) = happened("status", {**STATUS, "branches": STATUS["branches"][:1]})
    assert other.about["branch"] == "work"
    assert happened("status", {**STATUS, "branches": []})[0].about["branch"] == ""


@pytest.mark.parametrize(
    "found",
    [
        pull("edited"),
        pull("reopened"),
        pull("labeled"),
        happened("push", {"ref": "refs/heads/x", "before": A, "after": NONE}),
        happened("push", {"ref": "refs/tags/v1", "before": NONE, "after": A}),
        happened("issues", {"action": "opened", "issue": ISSUE}),
        happened(
            "issues",
            {
                "action": "labeled",
                "issue": {**ISSUE, "pull_request": {"url": "x"}},
                "label": {"name": "bug"},
            },
        ),
        happened("status", {**STATUS, "state": "success"}),
        happened("check_run", {"action": "completed", "check_run": {**RUN, "conclusion": None}}),
        happened(
            "pull_request_review",
            {
                "action": "submitted",
                "review": {**REVIEW, "state": "commented"},
                "pull_request": PULL,
            },
        ),
        happened("star", {"action": "created"}),
    ],
)
def test_what_is_nothing_that_happened(found):
    assert found == ()


def test_what_strangers_write_is_bounded():
    long = {
        **PULL,
        "title": "t" * 10_000,
        "body": "b\x00" * 10_000,
        "labels": [{"name": str(number)} for number in range(100)],
    }
    (event,) = pull("opened", long)
    assert len(event.about["title"]) == TITLE_LENGTH_MAX
    assert len(event.about["body"]) == BODY_LENGTH_MAX
    assert "\x00" not in event.about["body"]
    assert len(event.about["labels"]) == LABELS_MAX


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("pull_request", {"action": "opened"}),
        ("pull_request", {"action": "opened", "pull_request": {**PULL, "head": None}}),
        ("pull_request", {"action": "closed", "pull_request": {**PULL, "closed_at": "soon"}}),
        ("push", {"ref": "refs/heads/x"}),
        (
            "push",
            {
                "ref": "refs/heads/x",
                "before": A,
                "after": B,
                "repository": {**REPOSITORY, "pushed_at": 1e30},
            },
        ),
        ("issues", {"action": "labeled", "issue": ISSUE}),
        ("status", {"state": "failure"}),
    ],
)
def test_what_github_would_not_deliver_is_malformed(event, payload):
    with pytest.raises(Malformed):
        happened(event, payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PULL]), inner),
    max_leaves=8,
)


@given(st.sampled_from(EVENTS), st.dictionaries(st.sampled_from([*STATUS, "pull_request"]), JSON))
def test_nothing_signed_breaks_more_than_itself(event, changed):
    with suppress(HookRefused):
        happened(event, {**STATUS, "action": "opened", "pull_request": PULL, **changed})
