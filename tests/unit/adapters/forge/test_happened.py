"""What every forge has in common of what happens in repositories."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.forge.happened import (
    LABELS_MAX,
    LOOK_BACK_SECONDS_MAX,
    NAME_LENGTH_MAX,
    Window,
    bounded,
    branch_named,
    is_wanted,
    names,
    pushed,
)

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OVERLAP = timedelta(minutes=1)


def ago(**more: float) -> datetime:
    return NOW - timedelta(**more)


def test_the_first_look_begins_at_now():
    first = Window.read(None, NOW, OVERLAP)
    assert first.since == NOW
    later = NOW + timedelta(seconds=20)
    second = Window.read(first.until(later), later + timedelta(seconds=30), OVERLAP)
    assert second.since == NOW, "what was before we began is not heard for the overlap"


@pytest.mark.parametrize(
    ("until", "begun", "since"),
    [
        (ago(minutes=5), ago(days=9), ago(minutes=6)),
        (ago(minutes=5), ago(minutes=5, seconds=20), ago(minutes=5, seconds=20)),
        (ago(days=3), ago(days=9), ago(seconds=LOOK_BACK_SECONDS_MAX)),
    ],
)
def test_from_when_on_is_heard(until, begun, since):
    kept = Window(since=begun, begun=begun).until(until)
    assert Window.read(kept, NOW, OVERLAP) == Window(since=since, begun=begun)


@pytest.mark.parametrize("cursor", ["", "x", "x y", f"{NOW.isoformat()}", "1 2 3", "2026-11-28 x"])
def test_a_cursor_that_can_not_be_read_begins_at_now(cursor):
    assert Window.read(cursor, NOW, OVERLAP).since == NOW


def test_names_are_bounded():
    many = names("x" * 1_000 for _ in range(LABELS_MAX + 1))
    assert len(many) == LABELS_MAX
    assert {len(one) for one in many} == {NAME_LENGTH_MAX}
    assert bounded(None, 5) == ""
    assert bounded("a\x00b", 5) == "a\ufffdb"


def test_branches_and_pushes():
    assert branch_named("refs/heads/a/b") == "a/b"
    assert branch_named("refs/tags/v1") == branch_named("a") == ""
    assert pushed("a", None, "c") == pushed("a", "0" * 40, "c") == f"push/a/{'0' * 12}..c"
    assert pushed("a", "b" * 40, "c") != pushed("a", "d" * 40, "c")


def test_what_is_wanted_is_known_by_its_name_in_any_letter_case():
    wanted = {"Acme/Shop": frozenset({"push"})}
    assert is_wanted(wanted, "acme/shop", "push")
    assert not is_wanted(wanted, "acme/shop", "ci_failed")
    assert not is_wanted(wanted, "acme/other", "push")
