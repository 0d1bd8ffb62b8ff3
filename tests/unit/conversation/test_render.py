"""What threads read about events."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.conversation.fences import Manner, segments
from bot.conversation.render import (
    WAITING_MAX,
    SeenEvent,
    Span,
    Waiting,
    answer,
    elsewhere,
    live,
    notice,
    outcome,
    question,
)

PATIENT = settings(deadline=None)
MANNER = Manner(text_length_max=4_000, escape=lambda text, *, code: text)


def span(*events, output_length=None, start=0):
    seen = [
        SeenEvent(number=start + number, kind=kind, body=body)
        for number, (kind, body) in enumerate(events, 1)
    ]
    length = sum(len(one.body["text"]) for one in seen if one.kind == "output")
    return Span(start=start, events=seen, output_length=output_length or length)


def ended(outcome="succeeded", **body):
    return ("turn.ended", {"outcome": outcome, **body})


STARTED = ("turn.started", {"prompt": "p", "text": "!ls"})


def output(text):
    return ("output", {"stream": "stdout", "text": text})


def test_an_answer_says_what_was_delivered_and_what_was_not():
    done = ended(summary="", exit_status=0)
    facts = {"files": 1, "insertions": 2, "deletions": 0, "number": 5, "url": "https://x/5"}
    said = answer(
        span(STARTED, ("text", {"text": "Mended."}), ("delivered", {**facts, "draft": True}), done),
        MANNER,
    )
    assert said == (
        "Mended.\nPull request 5, a draft (1 file, +2 -0): https://x/5\nDone: exit status 0."
    )
    kept = ("undelivered", {"text": "Not delivered: ```\nwhy."})
    assert "Not delivered: ```\nwhy." in answer(span(STARTED, kept, done), MANNER)


TESTS = [
    {"command": "pytest -q", "passed": False, "failing": "E  assert 1\n```"},
    {"command": "npm test", "passed": True, "failing": ""},
    {"command": "jest | tail", "passed": None, "failing": ""},
]


def test_an_answer_says_which_tests_ran_how_they_ended_and_why():
    said = answer(span(STARTED, ("text", {"text": "Mended."}), ended(tests=TESTS)), MANNER)
    assert said == (
        "Mended.\nTests: `pytest -q` failed.\n````\nE  assert 1\n```\n````\n"
        "Tests: `npm test` passed.\n"
        "Tests: `jest | tail` ran; whether they passed is not known.\nDone."
    )


def test_tests_are_told_in_the_thread_alone_that_asked():
    started = ("turn.started", {"prompt": "p", "text": "x", "asked_in": "a"})
    seen = span(started, ended(tests=TESTS))
    assert "Tests:" in answer(replace(seen, thread_id="a"), MANNER)
    assert "Tests:" not in answer(replace(seen, thread_id="b"), MANNER)


def test_an_answer_shows_the_output_in_a_block_and_how_it_ended():
    done = ended(summary="exit status 0, 3.2 s", exit_status=0, seconds=3.2)
    assert answer(span(STARTED, output("a\n"), output("b\n"), done), MANNER) == (
        "```\na\nb\n```\nDone: exit status 0, 3.2 s."
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"outcome": "failed", "summary": "", "exit_status": 2, "seconds": 75},
            "Failed: exit status 2, after 1 min 15 s.",
        ),
        (
            {"outcome": "stopped", "summary": "stopped by Bo; it is kept, `retry`", "seconds": 51},
            "Stopped by Bo, after 51 s; it is kept, `retry`.",
        ),
        (
            {"outcome": "stopped", "summary": "stopped on request by Bo", "by": "Bo"},
            "Stopped on request by Bo.",
        ),
        ({"outcome": "stopped", "by": "Bo", "seconds": 3.0}, "Stopped: by Bo, after 3.0 s."),
        (
            {"outcome": "timed_out", "summary": "stopped at the time limit of 60 s"},
            "Timed out: stopped at the time limit of 60 s.",
        ),
        (
            {"outcome": "interrupted", "summary": "the machine is gone: it was killed"},
            "Interrupted: the machine is gone: it was killed.",
        ),
        ({"outcome": "succeeded", "seconds": 7_300}, "Done: after 2 h 1 min."),
        ({"outcome": "melted"}, "Melted."),
        ({}, "Ended."),
    ],
)
def test_an_outcome_says_how_by_whom_and_how_long(body, said):
    assert outcome(SeenEvent(number=1, kind="turn.ended", body=body)) == said


def test_a_long_output_shows_its_end_and_where_the_whole_lies():
    lines = "".join(f"line {n}\n" for n in range(1_000))
    told = answer(span(STARTED, output(lines), ended()), MANNER)
    assert "line 999" in told
    assert "line 0\n" not in told
    assert told.startswith("The end of the output; all of it is on the session's page.")
    cut = ("output.cut", {"bytes": 5, "where": "/var/lib/ona/jobs/x/stdout"})
    told = answer(span(STARTED, output("head"), cut, output("tail"), ended()), MANNER)
    assert "all of it is in the machine at /var/lib/ona/jobs/x/stdout" in told


def test_output_that_was_not_even_read_back_counts_as_left_out():
    told = answer(span(STARTED, output("end"), ended(), output_length=10_000), MANNER)
    assert told.startswith("The end of the output")


def test_an_answer_of_an_agent_is_what_it_said_last():
    told = answer(
        span(
            STARTED,
            ("text", {"text": "Let me look."}),
            ("tool", {"id": "1", "title": "grep", "status": "completed"}),
            output("noise"),
            ("text", {"text": "It is "}),
            ("text", {"text": "fixed."}),
            ended(),
        ),
        MANNER,
    )
    assert told == "It is fixed.\nDone."


def test_errors_stand_in_the_answer():
    told = answer(span(STARTED, ("error", {"text": "no such repository"}), ended("failed")), MANNER)
    assert told == "Error: no such repository\nFailed."


def test_why_a_turn_could_not_be_run_is_said_once_and_whole():
    why = f"the machine did not come up: {'its kernel said a lot ' * 12}; give it more room"
    summary = f"{why}; the prompt is kept: `retry` runs it again"
    failed = ended("failed", summary=summary)
    told = answer(span(STARTED, ("error", {"text": why}), failed), MANNER)
    assert told == f"Failed: {summary}."
    assert len(live(span(STARTED, failed))) < 250


def test_a_turn_without_output_has_an_answer_too():
    assert answer(span(STARTED, ended()), MANNER) == "Done."


def test_live_goes_from_the_machine_to_the_work_to_the_outcome():
    assert live(span(("prompt.queued", {}))) == ""
    assert live(span(("step", {"step": "booting"}))) == "Starting the machine …"
    assert live(span(("step", {"step": "polishing"}))) == "Polishing …"
    assert live(span(STARTED)) == "Working …"
    assert live(span(STARTED, ("step", {"step": "resuming"}))) == "Waking the machine …"
    told = live(
        span(
            STARTED,
            ("plan", {"entries": [{"content": "look", "status": "completed"}, "odd"]}),
            ("text", {"text": "I will"}),
            ("tool", {"id": "1", "title": "grep x", "status": "running"}),
            ("tool", {"id": "1", "status": "completed"}),
            output("found\n"),
        )
    )
    assert told == (
        "Working …\ncompleted: look\npending: odd\n~~~\nI will\n~~~\n"
        "completed: grep x\n```\nfound\n```"
    )
    assert live(span(STARTED, ended("stopped", by="Bo"))) == "Stopped: by Bo."


def tool(*files):
    return ("tool", {"id": str(files), "title": "edit", "status": "completed", "files": files})


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ([("/w/a.py",)], "1 file touched: a.py"),
        ([("/w/a.py", "/w/b.py"), ("/w/a.py",)], "2 files touched: b.py, a.py"),
        (
            [tuple(f"/w/{n}.py" for n in range(6))],
            "6 files touched: …, 1.py, 2.py, 3.py, 4.py, 5.py",
        ),
        ([("/w/x\n```",)], "1 file touched: x ```"),
    ],
)
def test_live_names_the_files_that_were_touched(tools, said):
    told = live(span(STARTED, *(tool(*files) for files in tools)))
    assert told.split("\n")[-1] == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "Working …"),
        (9.9, "Working …"),
        (10, "Working for 10 s …"),
        (95, "Working for 1 min 35 s …"),
    ],
)
def test_live_says_how_long_it_has_worked(seconds, said):
    later = None if seconds is None else 1_000 + seconds
    events = [
        SeenEvent(number=1, kind="turn.started", body=STARTED[1], at=1_000.0),
        SeenEvent(number=2, kind="tool", body={"id": "1", "title": "t"}, at=later),
    ]
    assert live(Span(start=0, events=events)).split("\n")[0] == said


def test_live_says_that_it_waits_for_an_answer():
    asked = ("question", {"question": "q", "text": "sure?"})
    assert live(span(STARTED, asked)) == "Waiting for an answer."
    assert live(span(STARTED, asked, ("question.answered", {"question": "q"}))) == "Working …"


ASKED = SeenEvent(
    number=1,
    kind="question",
    body={
        "question": "q",
        "text": "Really?",
        "choices": ["yes", "no"],
        "expires_at": "2026-11-23T21:30:00+01:00",
    },
)


@pytest.mark.parametrize(
    ("settled", "last"),
    [
        (None, "Answer in this thread until 2026-11-23 20:30 UTC."),
        (("question.answered", {"name": "Bo", "answer": "yes"}), "Bo answered: yes"),
        (("question.expired", {}), "Nobody answered in time; the turn goes on without an answer."),
        (("turn.ended", {}), "The turn ended before an answer came."),
    ],
)
def test_a_question_has_choices_a_time_limit_and_an_end(settled, last):
    end = SeenEvent(number=2, kind=settled[0], body=settled[1]) if settled else None
    assert question(ASKED, end) == f"Question: Really?\n1. yes\n2. no\n{last}"


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (
            "session.held",
            {"name": "Ann", "held": [{"name": "Bo"}, {"name": "Bo"}]},
            "Ann stopped here: 2 prompts of Bo held. `resume` lets them go on, `clear` drops them.",
        ),
        ("session.resumed", {"name": "Ann"}, "Ann let the queue go on."),
        ("session.cleared", {"name": "Ann", "count": 1}, "Ann took 1 prompt out of the queue."),
        ("prompt.cancelled", {"name": "Ann"}, "Ann took a prompt out of the queue."),
        ("notice", {"text": "restored"}, "restored"),
        ("machine", {"state": "running", "why": "disk full"}, "The machine is running: disk full"),
        (
            "machine",
            {"state": "lost", "why": "the guest's kernel panicked: VFS: no root"},
            "The machine is lost: the guest's kernel panicked",
        ),
        ("machine", {"state": "resting"}, ""),
        ("something new", {"x": 1}, ""),
    ],
)
def test_notices_say_who_did_what(kind, body, said):
    assert notice(SeenEvent(number=1, kind=kind, body=body)) == said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
SAID = st.text(alphabet=st.sampled_from("`\n@*<x \x1b["), max_size=60)
EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["text", "error", "notice"]), st.fixed_dictionaries({"text": SAID})
        ),
        st.tuples(st.just("output"), st.fixed_dictionaries({"text": SAID})),
        st.tuples(
            st.just("tool"), st.fixed_dictionaries({"id": SAID, "title": SAID, "status": SAID})
        ),
        st.tuples(st.just("plan"), st.fixed_dictionaries({"entries": st.lists(JSON, max_size=3)})),
        st.tuples(st.just("step"), st.fixed_dictionaries({"step": SAID})),
        st.tuples(
            st.just("question"),
            st.fixed_dictionaries(
                {"question": SAID, "text": SAID, "choices": st.lists(SAID), "expires_at": SAID}
            ),
        ),
        st.tuples(st.just("output.cut"), st.fixed_dictionaries({"where": SAID})),
        st.tuples(st.text(max_size=8), st.dictionaries(st.text(max_size=8), JSON)),
        st.just(STARTED),
    ),
    max_size=12,
)


@PATIENT
@given(EVENTS, st.fixed_dictionaries({"outcome": SAID, "summary": SAID, "by": SAID}))
def test_only_output_ever_stands_in_a_block_whatever_was_said(events, end):
    events = [one for one in events if one[0] != "turn.ended"]
    whole = "".join(body["text"] for kind, body in events if kind == "output")
    going, over = span(*events), span(*events, ("turn.ended", end))
    bodies = [answer(over, MANNER), live(over), live(going)]
    for one in over.events:
        bodies.append(notice(one))
        if one.kind == "question":
            bodies += [question(one, None), question(one, over.ended)]
    for body in bodies:
        blocks = [one.text for one in segments(body) if one.code]
        assert len(blocks) <= 1
        if blocks:
            assert whole


def test_what_models_cost_stands_in_the_first_line_and_in_the_last():
    asked = ("cost", {"micro": 120_000})
    more = ("cost", {"micro": 423_000})
    assert live(span(STARTED, asked, output("a\n"), more)).splitlines()[0] == (
        "Working … 0.42 USD so far."
    )
    done = ended(summary="done", seconds=123.0, cost_micro=423_000)
    told = answer(span(STARTED, asked, ("text", {"text": "Fixed."}), done), MANNER)
    assert told.splitlines()[-1] == "Done, after 2 min 3 s, 0.42 USD."
    free = answer(span(STARTED, ended(summary="done", seconds=123.0)), MANNER)
    assert "USD" not in free


def waiting(*names, thread_id="here"):
    return [
        Waiting(name=name, place=place, thread_id=thread_id) for place, name in enumerate(names, 1)
    ]


def test_who_waits_behind_a_running_turn_stands_there_with_the_place():
    running = span(STARTED, output("a\n"))
    said = live(replace(running, waiting=waiting("Ann", "B\n```o", "Ann")))
    assert said.splitlines()[1] == "Queued: Ann, 1st; B ```o, 2nd; Ann, 3rd"
    assert "Queued" not in live(running)
    over = replace(span(STARTED, ended()), waiting=waiting("Ann"))
    assert "Queued" not in live(over)


def test_no_more_than_so_many_of_the_queue_are_named():
    names = [f"P{number}" for number in range(WAITING_MAX + 1)]
    running = span(STARTED)
    whole = live(replace(running, waiting=waiting(*names[:-1]))).splitlines()[-1]
    assert whole.endswith(f"P{WAITING_MAX - 1}, {WAITING_MAX}th")
    cut = live(replace(running, waiting=waiting(*names))).splitlines()[-1]
    assert cut == f"{whole}; …"


def test_another_thread_is_told_of_its_own_prompts_in_the_queue_alone():
    queue = [*waiting("Ann", "Bo"), *waiting("Cy")]
    queue[-1] = replace(queue[-1], place=3, thread_id="there")
    running = replace(span(STARTED), thread_id="there", waiting=queue)
    assert elsewhere(running).splitlines()[1:] == ["Queued: Cy, 3rd"]
    assert len(elsewhere(replace(running, thread_id="another")).splitlines()) == 1


def test_failed_checks_are_told_with_their_lines_which_no_line_of_them_can_end():
    failing = [{"check": "unit\n@all", "text": "```\nE assert 1 == 2"}, {"check": "x", "text": ""}]
    body = {"text": "Checks have failed: unit.", "failing": failing}
    assert notice(SeenEvent(number=1, kind="ci", body=body)) == (
        "Checks have failed: unit.\nunit @all:\n````\n```\nE assert 1 == 2\n````"
    )
