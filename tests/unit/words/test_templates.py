"""What people read of templates, by table."""

import pytest

from bot.words.templates import NO_HOST, OFF, UNUSED, listed, times, turn, unbegun, under_way


def row(id_, state, *, note=None, host="atlas", fingerprint="f", newest=False):
    return {
        "id": id_,
        "state": state,
        "note": note,
        "host": host,
        "project_id": 1,
        "size": "small",
        "fingerprint": fingerprint,
        "is_newest": newest,
    }


def wait(*, failures=0, host="atlas"):
    return {"host": host, "project_id": 1, "size": "small", "failures": failures}


def test_what_machines_are_made_of_comes_first_and_failures_that_say_the_same_are_one():
    rows = [
        row(1, "failed", note="no", newest=True),
        row(2, "failed", note="other"),
        row(3, "failed", note="no"),
        row(4, "failed", note="no", fingerprint="g"),
        row(5, "failed", note="no", host="other", newest=True),
        row(6, "retired"),
        row(7, "ready"),
    ]
    shown, left = listed(rows, [wait(failures=4)])
    assert [one["id"] for one in shown] == [7, 1, 2, 4, 5, 6]
    assert [one["id"] for one in shown if one["again"]] == [1]
    assert left == []
    every, _left = listed(rows, [], folding=False)
    assert [one["id"] for one in every] == [7, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("newest", "waiting"),
    [
        (row(1, "ready", newest=True), wait()),
        (row(1, "failed", newest=True), wait()),
        (row(1, "failed", newest=False), wait(failures=1)),
        (row(1, "failed", newest=True), wait(failures=1, host="other")),
    ],
)
def test_only_the_newest_that_failed_as_it_is_wanted_is_tried_again(newest, waiting):
    shown, left = listed([newest], [waiting])
    assert shown == [{**newest, "again": None}]
    assert left == [waiting]


def test_when_and_how_often_is_said_in_words():
    assert [turn(ahead) for ahead in (None, 0, 1, 2)] == [
        "",
        "next",
        "after 1 other",
        "after 2 others",
    ]
    assert [times(1), times(2)] == ["failed once", "failed 2 times in a row"]


@pytest.mark.parametrize(
    ("number", "count", "name", "said"),
    [
        (0, None, None, None),
        (1, None, "boot", "step 1: boot"),
        (4, 7, "npm ci", "step 4 of 7: npm ci"),
        (4, 7, None, "step 4 of 7"),
    ],
)
def test_a_build_says_which_step_of_how_many_is_under_way(number, count, name, said):
    assert under_way(number, count, name) == said


@pytest.mark.parametrize(
    ("enabled", "used", "why"), [(False, True, OFF), (True, True, NO_HOST), (True, False, UNUSED)]
)
def test_a_project_without_a_template_says_why(enabled, used, why):
    assert unbegun(enabled=enabled, used=used) == why
