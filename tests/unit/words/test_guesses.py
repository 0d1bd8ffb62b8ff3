"""What people read of a guessed set-up."""

import pytest

from bot.words.catalogue import again, kept, speaking
from bot.words.guesses import (
    Tried,
    as_rows,
    contained,
    count,
    forwarded,
    line,
    ports,
    told,
    tried,
)

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


MADE = {"step": "dev container", "container": ".devcontainer.json", "exit_status": 0, "output": ""}


def test_a_container_that_was_made_whole_is_not_talked_of():
    assert contained("shop", [*STEPS, MADE]) == []
    assert contained("shop", STEPS) == []


def test_what_a_container_lacks_is_told():
    (said,) = contained("shop", [{**MADE, "left_out": "runArgs --gpus all, frobnicate"}])
    assert said == (
        "The agent works in the dev container of .devcontainer.json; not done of that file: "
        "runArgs --gpus all, frobnicate."
    )


def test_why_there_is_no_container_is_told_in_the_last_words_of_the_log():
    step = {**MADE, "exit_status": 1, "output": "pulling\nit names no image.\n", "ports": "3000"}
    (said,) = contained("shop", [step])
    assert said == (
        "The dev container of .devcontainer.json could not be made, and the machine is used "
        "without it: it names no image. `ona templates show shop` has the log."
    )
    assert ports([step]) == []


def test_why_there_is_no_container_is_told_in_the_language_of_the_thread():
    step = {**MADE, "exit_status": 1, "output": "its container does not answer"}
    (said,) = contained("shop", [step])
    stored = kept(said)
    with speaking("de"):
        assert "benutzt: sein Container antwortet nicht. `ona" in again(stored)


def test_ports_are_those_of_the_container_that_was_made():
    assert ports([*STEPS, {**MADE, "ports": "3000, 5173"}]) == [3000, 5173]
    assert forwarded([(3000, "http://a.test/"), (5173, "http://b.test/")]) == (
        "As soon as something listens there: port 3000 at http://a.test/ and port 5173 at "
        "http://b.test/."
    )
