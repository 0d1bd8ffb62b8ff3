"""Which tests a turn ran, and how they ended."""

import pytest

from bot.work.tested import (
    COMMAND_LENGTH_MAX,
    COMMANDS_MAX,
    LINES_MAX,
    Ran,
    is_test,
    passed,
    ran_tests,
    told,
)


@pytest.mark.parametrize(
    "said",
    [
        "pytest",
        "`pytest -q`",
        "Run pytest -q",
        "cd x && cargo test",
        "cd x\npytest -q",
        "nice -n 13 .venv/bin/python -m pytest -q tests",
        "PYTHONPATH=. timeout 600s uv run pytest",
        "npm run test:unit",
        "npx vitest run",
        "bash -lc 'go test ./...'",
        "docker compose exec app pytest -q",
        "./gradlew clean test",
        "make test-fast",
    ],
)
def test_a_command_of_tests_is_known(said: str) -> None:
    assert is_test(said)


@pytest.mark.parametrize(
    "said",
    [
        "Look at the tests",
        "npm run lint",
        "pip install pytest",
        "grep -rn pytest .",
        "cat pytest.ini",
        "Read pytest.ini",
        "pytest.ini",
        "git add tests/test_a.py",
        "git commit -m 'Add pytest'",
        "make lint",
    ],
)
def test_what_only_speaks_of_tests_is_none(said: str) -> None:
    assert not is_test(said)


@pytest.mark.parametrize("word", ["-/env ", "docker ", "a=1=2 ", "1=1 ", "sudo ", "sh "])
def test_a_command_that_is_made_to_take_long_does_not(word: str) -> None:
    """With what grows as a power of its length it would not end."""
    assert not is_test(word * 400 + "x")


def test_the_last_run_of_each_command_counts() -> None:
    ran = [
        Ran(title="`pytest -q`", status="failed"),
        Ran(title="Run the tests", status="completed", command="cargo test"),
        Ran(title="Edit a", status="completed"),
        Ran(title="pytest -q", status="completed"),
    ]
    assert ran_tests(ran, most=9) == [ran[1], ran[3]]
    assert ran_tests(ran, most=1) == [ran[3]]


PIPED = "pytest -q 2>&1 | tail -5"


@pytest.mark.parametrize(
    ("ran", "good"),
    [
        ({"status": "completed"}, True),
        ({"status": "failed"}, False),
        ({"status": "completed", "exit_status": 1}, False),
        ({"status": "failed", "exit_status": 0}, True),
        ({"status": "running"}, None),
        ({"status": "completed", "command": "cd x; pytest -q 2>&1"}, True),
        ({"status": "completed", "command": "pytest -q && git push"}, True),
        ({"status": "completed", "command": PIPED}, None),
        ({"status": "completed", "command": PIPED, "output": "3 passed in 0.1s"}, True),
        ({"status": "completed", "command": PIPED, "output": "1 failed, 3 passed"}, False),
        ({"status": "completed", "command": PIPED, "output": "0 failed, 3 passed"}, True),
        ({"status": "completed", "command": f"set -o pipefail; {PIPED}"}, True),
        ({"status": "failed", "command": PIPED}, False),
        ({"status": "completed", "command": "pytest -q || true"}, None),
        ({"status": "completed", "command": "pytest -q &"}, None),
        ({"status": "completed", "command": "pytest -q; echo", "output": "FAILED a.py"}, False),
    ],
)
def test_how_it_ended_is_said_as_far_as_it_is_known(ran: dict, good: bool | None) -> None:
    assert passed(Ran(**{"title": "pytest", **ran})) is good


def test_an_outcome_keeps_the_last_commands_and_why_they_failed() -> None:
    output = "\n".join(["x"] * 50 + [f"E  assert {n}" for n in range(30)])
    ran = [
        Ran(title=f"pytest {n}", status="failed", output=output) for n in range(COMMANDS_MAX + 1)
    ]
    kept = told([*ran, Ran(title="jest", status="completed", output=output)], lambda said: False)
    assert [one["command"] for one in kept] == ["pytest 2", "pytest 3", "jest"]
    assert [one["passed"] for one in kept] == [False, False, True]
    lines = kept[0]["failing"].split("\n")
    assert len(lines) <= LINES_MAX
    assert lines[-1] == "E  assert 29"
    assert kept[2]["failing"] == ""


def test_neither_a_line_nor_a_command_that_looks_like_a_secret_is_kept() -> None:
    output = "E  one\nE  secret\nE  two"
    (kept,) = told([Ran(title="pytest", status="failed", output=output)], lambda s: "secret" in s)
    assert kept == {"command": "pytest", "passed": False, "failing": "E  one\n…\nE  two"}
    (kept,) = told([Ran(title="K=secret pytest", status="completed")], lambda s: "secret" in s)
    assert kept["command"] == "…"


def test_a_command_is_one_line_without_backticks_and_bounded() -> None:
    assert Ran(title="", status="", command="cd x\npytest `a` b").name == "cd x pytest 'a' b"
    name = Ran(title="pytest " + "x" * 1_000, status="").name
    assert len(name) == COMMAND_LENGTH_MAX + 1
