"""An agent that goes in circles is found out, and one that gets on is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.work.circles import PERIOD_MAX, Circle, Circles, circle

TIMES = 4


def tool(title, status="completed", *, id="t", **more):
    return ("tool", {"id": id, "title": title, "status": status, **more})


def said(text):
    return ("text", {"text": text})


def calls(*titles):
    return [tool(title, id=f"t{number}") for number, title in enumerate(titles)]


CASES = {
    "the same call": (calls("a", "a", "a", "a"), Circle(what="a", times=4)),
    "once less": (calls("a", "a", "a"), None),
    "something else in between": (calls("a", "a", "b", "a", "a"), None),
    "two in turn": (calls(*"ab" * 4), Circle(what="b", times=4)),
    "two in turn, once less": (calls(*"ab" * 3, "a"), None),
    "as many as a circle has": (calls(*"abcdef" * 4), Circle(what="f", times=4)),
    "one more than that": (calls(*"abcdefg" * 4), None),
    "another result": ([tool("a", id=f"t{n}", output=str(n)) for n in range(9)], None),
    "another diff": ([tool("Edit x", id=f"t{n}", diff=f"+{n}") for n in range(9)], None),
    "the same diff": ([tool("Edit x", id=f"t{n}", diff="+1") for n in range(4)], "Edit x"),
    "failing all the time": ([tool("a", "failed", id=f"t{n}") for n in range(4)], "a"),
    "failing at last": ([*calls("a", "a", "a"), tool("a", "failed", id="x")], None),
    "words between the calls": (
        [one for n in range(4) for one in (said(f"try {n}"), tool("a", id=f"t{n}"))],
        "a",
    ),
    "the same words over new calls": (
        [one for n in range(9) for one in (said("Next."), tool(f"read {n}", id=f"t{n}"))],
        None,
    ),
    "the same words over known calls": (
        [
            *calls(*"abcdefgh"),
            *(one for t in "hafbgced" for one in (said("Hm."), tool(t, id=f"u{t}"))),
        ],
        "Hm.",
    ),
    "not ended yet": ([tool("a", "running", id=f"t{n}") for n in range(9)], None),
    "thoughts and plans": ([("thought", {"text": "x"}), ("plan", {"entries": []})] * 9, None),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_a_circle(case):
    events, expected = CASES[case]
    found = circle(events, TIMES)
    if isinstance(expected, str):
        expected = Circle(what=expected, times=TIMES)
    assert found == expected


def test_a_call_is_all_that_was_told_of_it():
    def call(number, result):
        return [
            tool("Run", "pending", id=f"t{number}"),
            ("tool", {"id": f"t{number}", "status": "running", "output": result}),
            ("tool", {"id": f"t{number}", "status": "completed"}),
        ]

    same = [one for number in range(TIMES) for one in call(number, "1 failed")]
    other = [one for number in range(TIMES) for one in call(number, f"{number} failed")]
    assert circle(same, TIMES) == Circle(what="Run", times=TIMES)
    assert circle(other, TIMES) is None


def by_hand(steps: list[str], times: int) -> int | None:
    """The place of the step that closes the first circle."""
    for end in range(1, len(steps) + 1):
        for period in range(1, PERIOD_MAX + 1):
            last = steps[max(0, end - period * times) : end]
            if len(last) == period * times and last == last[:period] * times:
                return end - 1
    return None


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(2, 5))
def test_it_is_found_where_the_last_steps_are_so_many_times_the_same(steps, times):
    circles = Circles(times)
    found = [circles.see(*one) for one in calls(*steps)]
    first = next((number for number, one in enumerate(found) if one is not None), None)
    assert first == by_hand(steps, times)


@given(st.lists(st.text(max_size=3), unique=True, max_size=60))
def test_nothing_that_is_always_new_is_a_circle(steps):
    assert circle(calls(*steps), 2) is None
