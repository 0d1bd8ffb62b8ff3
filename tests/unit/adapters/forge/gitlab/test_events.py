"""What GitLab's webhooks, and its lists, tell of what happens in projects."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.forge.gitlab.happening import Project, moment
from adapters.forge.gitlab.hooks import happenings
from adapters.forge.gitlab.request_round import events
from adapters.forge.hooks import Malformed

A, B, NONE = "a" * 40, "b" * 40, "0" * 40
PROJECT = {
    "path_with_namespace": "acme/api",
    "git_http_url": "https://gitlab.test/acme/api.git",
    "web_url": "https://gitlab.test/acme/api",
    "default_branch": "main",
}
ANN = {"id": 7, "username": "ann"}
REQUEST = {
    "iid": 12,
    "title": "Mend it",
    "description": "",
    "source_branch": "work",
    "target_branch": "main",
    "source_project_id": 5,
    "target_project_id": 5,
    "author_id": 7,
    "created_at": "2026-11-28 12:00:00 UTC",
    "updated_at": "2026-11-28T13:00:00Z",
    "last_commit": {"id": A},
    "labels": [{"title": "bug"}],
    "url": "https://gitlab.test/acme/api/-/merge_requests/12",
    "action": "open",
}
ISSUE = {
    "iid": 7,
    "title": "It breaks",
    "author_id": 7,
    "updated_at": "2026-11-28 13:00:00 UTC",
    "action": "update",
}
LABELS = {"previous": [{"id": 1, "title": "a"}], "current": [{"id": 1, "title": "a"}]}
LABELS["current"].append({"id": 2, "title": "bug"})
PIPELINE = {
    "id": 31,
    "ref": "main",
    "tag": False,
    "sha": A,
    "status": "failed",
    "source": "push",
    "finished_at": "2026-11-28 13:00:00 UTC",
}


def told(data: dict):
    body = json.dumps({"project": PROJECT, "user": ANN, **data}).encode()
    return happenings(body, now=1_796_000_000)


def request(action: str, **more):
    said = {**REQUEST, "action": action, **more.pop("said", {})}
    return told({"object_kind": "merge_request", "object_attributes": said, **more})


def issue(**more):
    said = {**ISSUE, **more.pop("said", {})}
    return told({"object_kind": "issue", "object_attributes": said, **more})


def push(**more):
    said = {"ref": "refs/heads/main", "before": B, "after": A, **more}
    return told({"object_kind": "push", "user_id": 7, "user_username": "ann", **said})


def pipeline(**more):
    request_of = more.pop("merge_request", None)
    said = {**PIPELINE, **more}
    return told({"object_kind": "pipeline", "object_attributes": said, "merge_request": request_of})


def reviewers(*names: str):
    return {"previous": [], "current": [{"id": n, "username": one} for n, one in enumerate(names)]}


@pytest.mark.parametrize(
    ("found", "keys"),
    [
        (request("open"), ["pull_request/12/opened"]),
        (request("update", said={"oldrev": B}), [f"pull_request/12/updated/{A}"]),
        (
            request("update", changes={"draft": {"previous": True, "current": False}}),
            [f"pull_request/12/ready/{A}"],
        ),
        (
            request("update", changes={"reviewers": reviewers("bo", "cy")}),
            [
                f"pull_request/12/review_requested/bo/{A}",
                f"pull_request/12/review_requested/cy/{A}",
            ],
        ),
        (request("approval"), [f"pull_request/12/approved/7/{A}"]),
        (request("approved"), [f"pull_request/12/approved/7/{A}"]),
        (request("merge"), ["pull_request/12/merged"]),
        (request("close"), [f"pull_request/12/closed/{A}"]),
        (push(), [f"push/main/{B[:12]}..{A}"]),
        (push(before=NONE), [f"push/main/{NONE[:12]}..{A}"]),
        (issue(changes={"labels": LABELS}), [""]),
        (issue(said={"action": "open"}, labels=[{"id": 2, "title": "bug"}]), [""]),
        (pipeline(), [f"ci/{A}/pipeline/31"]),
        # Nothing that happened.
        (request("update"), []),
        (request("reopen"), []),
        (request("unapproved"), []),
        (request("update", changes={"draft": {"previous": False, "current": True}}), []),
        (push(after=NONE), []),
        (push(ref="refs/tags/v1"), []),
        (issue(), []),
        (issue(said={"confidential": True}, changes={"labels": LABELS}), []),
        (pipeline(status="success"), []),
        (pipeline(tag=True), []),
        (told({"object_kind": "wiki_page"}), []),
    ],
)
def test_what_happened_is_told_with_its_key(found, keys):
    assert [one.key for one in found] == keys


def test_what_a_merge_request_says_of_itself():
    (event,) = request("open")
    assert event.at == datetime(2026, 11, 28, 12, tzinfo=UTC)
    ends = [event.about[name] for name in ("branch", "base", "commit")]
    assert ends == ["work", "main", A]
    assert (event.about["labels"], event.opener_id, event.from_fork) == (("bug",), 7, False)
    assert request("open", said={"source_project_id": 6})[0].from_fork


def test_a_pipeline_of_a_merge_request_is_about_its_branch():
    of = {"source_branch": "work", "source_project_id": 5, "target_project_id": 5}
    more = {"source": "merge_request_event", "ref": "refs/merge-requests/12/head"}
    (event,) = pipeline(merge_request=of, **more)
    assert (event.about["branch"], event.from_fork) == ("work", False)
    (event,) = pipeline(merge_request={**of, "source_project_id": 6}, **more)
    assert event.from_fork


@pytest.mark.parametrize(
    "data",
    [
        {"object_kind": "merge_request"},
        {"object_kind": "merge_request", "object_attributes": {**REQUEST, "iid": "x"}},
        {"object_kind": "push", "ref": "refs/heads/x"},
        {"object_kind": "issue", "object_attributes": []},
        {"object_kind": "pipeline", "object_attributes": {**PIPELINE, "finished_at": "soon"}},
        {"object_kind": "push", "project": None},
        {},
    ],
)
def test_what_gitlab_does_not_send_is_malformed(data):
    with pytest.raises(Malformed):
        told(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*REQUEST]), inner),
    max_leaves=8,
)
KINDS = ("merge_request", "push", "issue", "pipeline")


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from([*REQUEST]), JSON))
def test_any_body_is_read_or_refused(kind, changed):
    with suppress(Malformed):
        told({"object_kind": kind, "object_attributes": {**REQUEST, **changed}, "changes": changed})


def test_times_are_read_as_the_api_and_as_webhooks_write_them():
    at = datetime(2026, 11, 28, 12, 0, 1, tzinfo=UTC)
    for said in ("2026-11-28T12:00:01Z", "2026-11-28 12:00:01 UTC", "2026-11-28T13:00:01+01:00"):
        assert moment(said) == at


ASKED = "requested review from @bo.b, @cy and removed review request for @di"


def test_what_lists_say_has_the_keys_of_webhooks():
    said = {**REQUEST, "author": ANN, "state": "merged", "sha": B}
    said |= {"merged_at": REQUEST["updated_at"], "last_commit": None}
    versions = [
        {"head_commit_sha": B, "created_at": "2026-11-28T12:30:00Z"},
        {"head_commit_sha": A, "created_at": "2026-11-28T12:00:00Z"},
    ]
    notes = [
        ("approved this merge request", "2026-11-28T12:10:00Z"),
        ("marked this merge request as **ready**", "2026-11-28T12:40:00Z"),
        (ASKED, "2026-11-28T12:50:00Z"),
        ("changed the description", "2026-11-28T12:55:00Z"),
    ]
    told = [{"body": body, "author": ANN, "created_at": at} for body, at in notes]
    project = Project(path="acme/api", clone_url="x", default_branch="main", web="")
    assert [one.key for one in events(project, said, versions, told)] == [
        "pull_request/12/opened",
        f"pull_request/12/updated/{B}",
        "pull_request/12/merged",
        f"pull_request/12/approved/7/{A}",
        f"pull_request/12/ready/{B}",
        f"pull_request/12/review_requested/bo.b/{B}",
        f"pull_request/12/review_requested/cy/{B}",
    ]
