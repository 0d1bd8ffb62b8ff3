"""What the lists of one look at a repository of GitHub say."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.forge.github.event_round import Push, Round, changes, labels, pushes
from adapters.forge.happened import Window

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
A, B, C, NONE = "a" * 40, "b" * 40, "c" * 40, "0" * 40
ANN = {"id": 7, "login": "ann"}
REPOSITORY = {"id": 1, "full_name": "acme/shop", "default_branch": "main"}


def said(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def pull(**more):
    return {
        "number": 12,
        "title": "Mend it",
        "user": ANN,
        "created_at": said(NOW),
        "closed_at": None,
        "head": {"ref": "work", "sha": C, "repo": {"id": 1}},
        "base": {"ref": "main", "sha": A, "repo": {"id": 1}},
        **more,
    }


def push(seconds: float, before: str = A, after: str = B, branch: str = "work") -> Push:
    at = NOW + timedelta(seconds=seconds)
    return Push(branch=branch, before=before, after=after, user=ANN, at=at)


def looked(*newest_first: Push, told=()) -> Round:
    window = Window(since=NOW, begun=NOW)
    return Round(
        repository=REPOSITORY, now=NOW, window=window, etags={}, pushes=newest_first, told=told
    )


@pytest.mark.parametrize(
    ("one", "of", "updated"),
    [
        ([push(5)], {}, [B]),
        ([push(9, B, C), push(5)], {}, [C, B]),
        ([push(-5)], {}, []),
        # In the second in which it was opened: a branch that was made is no newer than it.
        ([push(0, NONE)], {}, []),
        ([push(0)], {}, [B]),
        ([push(5, branch="other")], {}, []),
        ([push(5)], {"closed_at": said(NOW + timedelta(seconds=3))}, []),
        ([push(5)], {"head": {"ref": "work", "sha": C, "repo": {"id": 2}}}, []),
    ],
)
def test_a_push_makes_the_pull_requests_from_its_branch_newer(one, of, updated):
    found = changes(looked(*one), pull(**of))
    assert [event.about["commit"] for event in found if event.about["action"] == "updated"] == (
        updated
    )


def test_the_head_at_a_time_is_what_was_pushed_by_then():
    one = looked(push(9, B, C), push(5, A, B), push(7, A, NONE, branch="other"))
    for seconds, head in ((1, A), (5, B), (8, B), (9, C)):
        assert one.head_at(pull(), NOW + timedelta(seconds=seconds)) == head
    elsewhere = pull(head={"ref": "work", "sha": C, "repo": None})
    assert one.head_at(elsewhere, NOW) == C


def test_who_ended_it_is_told_beside():
    ended = pull(closed_at=said(NOW), merged_at=said(NOW))
    told = [{"event": "merged", "issue": {"number": 12}, "actor": {"id": 8, "login": "bo"}}]
    by = {event.key: event.user for event in changes(looked(told=told), ended)}
    assert by["pull_request/12/merged"] == {"id": 8, "login": "bo"}
    assert {event.key: event.user for event in changes(looked(), ended)}[
        "pull_request/12/merged"
    ] is None


@pytest.mark.parametrize(
    ("activity", "is_push"),
    [
        ({}, True),
        ({"activity_type": "force_push"}, True),
        ({"activity_type": "branch_creation"}, True),
        ({"activity_type": "branch_deletion"}, False),
        ({"after": NONE}, False),
        ({"ref": "refs/tags/v1"}, False),
    ],
)
def test_which_activities_are_pushes(activity, is_push):
    entry = {
        "ref": "refs/heads/work",
        "before": A,
        "after": B,
        "activity_type": "push",
        "actor": None,
        "timestamp": said(NOW),
        **activity,
    }
    read = Push.read(entry)
    assert (read is not None) is is_push
    if read is not None:
        assert [one.key for one in pushes(looked(read))] == [f"push/work/{A[:12]}..{B}"]


def test_labels_of_pull_requests_are_none_of_issues():
    def told(**issue):
        return {
            "event": "labeled",
            "id": 5,
            "issue": {"number": 7, "title": "x", **issue},
            "label": {"name": "bug"},
            "actor": ANN,
            "created_at": said(NOW),
        }

    (event,) = labels(looked(told=[told(), told(pull_request={"url": "x"})]))
    assert event.key == "issue/7/labelled/bug/5"
