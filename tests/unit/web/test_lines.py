"""Every kind of event in words."""

import pytest

from bot.web.lines import KNOWN_KINDS, line


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("prompt.queued", {"name": "Ann", "text": "x", "kind": "command"}, "!x"),
        ("prompt.queued", {"name": "Ann", "text": "x", "kind": "text"}, "x"),
        ("prompt.cancelled", {"name": "Bo"}, "Bo cancelled a queued prompt."),
        (
            "session.held",
            {"name": "Bo", "held": [{"name": "Ann"}, {"name": "Ann"}]},
            "Bo stopped the queue: 2 prompts of Ann held until somebody resumes or clears it.",
        ),
        ("session.cleared", {"name": "Bo", "count": 1}, "Bo cleared 1 prompt."),
        ("step", {"step": "booting"}, "Starting the machine …"),
        (
            "step",
            {"step": "booting", "template": {"step": 4, "of": 7}},
            "Starting the machine (its template is being built: step 4 of 7) …",
        ),
        ("step", {"step": "ready", "seconds": 4.21}, "The machine is ready after 4.2 s."),
        ("output.cut", {"bytes": 12345, "where": "/x"}, "12,345 more bytes"),
        ("machine", {"state": "lost", "why": "host rebooted"}, "was lost: host rebooted."),
        (
            "delivered",
            {"files": 2, "insertions": 3, "deletions": 1, "number": 5, "url": "https://x/5"},
            "Pull request 5 (2 files, +3 -1): https://x/5",
        ),
        (
            "delivered",
            {"branch": "ona/s-1", "files": 1, "conflicts": ["a", "b"], "base": "main"},
            "Pushed to the branch ona/s-1: 1 file, +0 -0.\nIt conflicts with main in a, b",
        ),
        ("undelivered", {"text": "Not delivered: why."}, "Not delivered: why."),
        ("question", {"text": "Port?", "choices": ["80", "81"]}, "Port? (80 / 81)"),
        ("update", {"text": "Tests are red."}, "Tests are red."),
        ("child.started", {"session": "s-2", "text": "do"}, "started session s-2: do"),
        ("tool.called", {"tool": "read_ci", "outcome": "done"}, "called read_ci of ona."),
        (
            "tool.called",
            {"tool": "read_ci", "outcome": "refused", "why": "no grant"},
            "called read_ci of ona and was refused: no grant.",
        ),
    ],
)
def test_events_are_said_in_words(kind, body, words):
    assert words in line(kind, body).text


def test_an_end_says_its_outcome_in_words_and_not_by_colour_alone():
    for outcome, word in (
        ("succeeded", "Done after 3 min 5 s"),
        ("failed", "Failed"),
        ("stopped", "Stopped"),
        ("timed_out", "Timed out"),
        ("interrupted", "Interrupted"),
        ("exploded", "exploded"),
    ):
        assert line("turn.ended", {"outcome": outcome, "seconds": 185}).label.startswith(word)


def test_an_end_does_not_say_the_same_twice():
    made = line("turn.ended", {"outcome": "succeeded", "summary": "done", "seconds": 3})
    assert (made.label, made.text) == ("Done after 3.0 s", "")


def test_an_end_says_its_duration_once():
    made = line(
        "turn.ended", {"outcome": "failed", "summary": "exit status 2, 1.6 s", "seconds": 1.6}
    )
    assert (made.label, made.text) == ("Failed", "exit status 2, 1.6 s")


def test_an_unknown_kind_is_a_plain_line():
    made = line("weather", {"text": "x" * 1000})
    assert made.look == "note"
    assert made.text.startswith("weather {")
    assert len(made.text) < 500


@pytest.mark.parametrize("kind", sorted(KNOWN_KINDS))
@pytest.mark.parametrize(
    "body", [{}, {"text": 7, "held": "x", "seconds": "soon", "entries": 3, "bytes": "many"}]
)
def test_no_body_makes_a_reader_fail(kind, body):
    assert line(kind, body).look


def test_a_picture_is_named_by_its_session_and_id():
    made = line("picture", {"session": "s-1", "picture": "7", "text": "The page"})
    assert (made.text, made.picture) == ("The page", "s-1/pictures/7")


def test_the_lines_that_failed_checks_wrote_are_a_detail():
    body = {"state": "red", "text": "Failed.", "failing": [{"check": "unit", "text": "E no"}]}
    shown = line("ci", body)
    assert (shown.text, shown.detail, shown.tone) == ("Failed.", "unit:\nE no", "bad")


def test_an_end_says_which_tests_ran_how_they_ended_and_why():
    tests = [
        {"command": "pytest -q", "passed": False, "failing": "E  assert 1"},
        {"command": "npm test", "passed": True, "failing": ""},
    ]
    end = line("turn.ended", {"outcome": "succeeded", "summary": "", "tests": tests})
    assert end.text == "Tests: `pytest -q` failed.\nTests: `npm test` passed."
    assert end.detail == "Tests: `pytest -q` failed.\nE  assert 1"
