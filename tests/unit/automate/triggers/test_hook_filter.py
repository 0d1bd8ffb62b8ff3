"""Which deliveries count, by paths into their bodies."""

import pytest

from bot.automate.triggers.hook_filter import VALUES_MAX, missed

BODY = {
    "action": "opened",
    "number": 7,
    "draft": False,
    "none": None,
    "one": 1.0,
    "pull_request": {"base": {"ref": "main"}},
    "labels": [{"name": "bug"}, {"name": "urgent"}],
    "grid": [[1, 2], [3]],
    "empty": [],
}


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({}, ""),
        ({"action": "opened"}, ""),
        ({"action": ["closed", "opened"]}, ""),
        ({"action": "closed"}, "action"),
        ({"action": "OPENED"}, "action"),
        ({"action": []}, "action"),
        ({"number": 7}, ""),
        ({"number": 7.0}, ""),
        ({"number": "7"}, "number"),
        ({"one": 1}, ""),
        ({"one": True}, "one"),
        ({"draft": False}, ""),
        ({"draft": 0}, "draft"),
        ({"none": None}, ""),
        ({"nothing": None}, ""),
        ({"nothing": [None, "x"]}, ""),
        ({"nothing": "x"}, "nothing"),
        ({"action": None}, "action"),
        ({"pull_request.base.ref": "main"}, ""),
        ({"pull_request.base": "main"}, "pull_request.base"),
        ({"pull_request.base.ref.x": "main"}, "pull_request.base.ref.x"),
        ({"labels.*.name": "urgent"}, ""),
        ({"labels.*.name": "later"}, "labels.*.name"),
        ({"labels.1.name": "urgent"}, ""),
        ({"labels.2.name": "urgent"}, "labels.2.name"),
        ({"labels.-1.name": "urgent"}, "labels.-1.name"),
        ({"labels.99999999999999.name": "urgent"}, "labels.99999999999999.name"),
        ({"labels.²": "urgent"}, "labels.²"),
        ({"grid.*.*": 3}, ""),
        ({"*": "opened"}, ""),
        ({"*.base.ref": "main"}, ""),
        ({"empty.*": None}, ""),
        ({"action": "opened", "number": 8}, "number"),
    ],
)
def test_a_filter_names_the_path_that_does_not_fit(wanted, path) -> None:
    assert missed(wanted, BODY) == path


@pytest.mark.parametrize("body", [None, [], "opened", 3])
def test_a_body_that_is_no_object_has_nothing(body) -> None:
    assert missed({"action": "opened"}, body) == "action"


@pytest.mark.parametrize("wanted", [1, None])
def test_a_path_through_more_than_is_looked_at_leads_nowhere_even_if_nothing_is_there(wanted):
    body = {"a": [[]] * VALUES_MAX}
    assert missed({"a.*.*": wanted}, body) == "a.*.*"
    assert missed({"a.*.*": None}, {"a": [[]] * (VALUES_MAX - 3)}) == ""
