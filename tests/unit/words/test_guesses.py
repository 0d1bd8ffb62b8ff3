"""What people read of a guessed set-up."""

import pytest

from bot.words.guesses import Tried, as_rows, count, line, told, tried

STEPS = [
    {"step": "boot", "seconds": 1.0, "exit_status": 0, "output": ""},
    {"step": "uv sync", "exit_status": 0, "output": "", "guessed_from": "uv.lock"},
    {"step": "npm ci", "exit_status": 1, "output": "no", "guessed_from": "web/package.json"},
]
GOOD, BAD = tried(STEPS)


def test_guesses_are_the_steps_that_follow_from_a_file():
    assert Tried(command="uv sync", file="uv.lock", exit_status=0) == GOOD
    assert as_rows(STEPS)[1] == {"command": "npm ci", "file": "web/package.json", "exit_status": 1}
    assert [line(**row) for row in as_rows(STEPS)] == [
        "uv sync (guessed from uv.lock)",
        "npm ci (guessed from web/package.json, ended with status 1)",
    ]
    assert [count(as_rows(some)) for some in (STEPS, STEPS[:2], STEPS[:1])] == [
        "2, 1 failed",
        "1",
        "",
    ]


@pytest.mark.parametrize(
    ("guesses", "expected"),
    [
        (
            [GOOD],
            "they were guessed: `uv sync` (from uv.lock). "
            "`ona projects change shop --setup` names others.",
        ),
        (
            [GOOD, BAD],
            "they were guessed: `uv sync` (from uv.lock). `npm ci` (from web/package.json) failed, "
            "and the machine is used without it. `ona templates show shop` has the log, ",
        ),
        (
            [BAD, BAD],
            "what was guessed did not work: `npm ci` (from web/package.json) and `npm ci` "
            "(from web/package.json) failed, and the machine is used without them. ",
        ),
    ],
)
def test_the_first_session_is_told_what_was_guessed_from_what_and_what_failed(guesses, expected):
    said = told("shop", guesses)
    assert said.startswith("The project shop names no set-up commands, ")
    assert expected in said
