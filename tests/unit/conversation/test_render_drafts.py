"""Which replies events make."""

from bot.conversation.drafts import drafts
from bot.conversation.fences import Manner
from bot.conversation.render import SeenEvent, Span

MANNER = Manner(text_length_max=4_000, escape=lambda text, *, code: text)
STARTED = ("turn.started", {"prompt": "p"})
OUTPUT = ("output", {"text": "x\n"})
ENDED = ("turn.ended", {"outcome": "succeeded"})


def made(*events, after=0, start=0, manner=MANNER):
    seen = [
        SeenEvent(number=start + number, kind=kind, body=body)
        for number, (kind, body) in enumerate(events, 1)
    ]
    span = Span(start=start, events=seen, output_length=2)
    return drafts(span, after=after, manner=manner)


def shape(found):
    return [(one.kind, one.key, one.final, one.amends) for one in found]


def test_a_running_turn_has_one_live_row_from_its_first_step_on():
    assert shape(made(("step", {"step": "booting"}), start=7)) == [("live", "live:7", False, False)]
    assert shape(made(STARTED, OUTPUT, start=7)) == [("live", "live:7", False, False)]


def test_an_end_makes_the_answer_and_amends_the_live_row():
    assert shape(made(STARTED, OUTPUT, ENDED)) == [
        ("live", "live:0", True, True),
        ("answer", "answer:3", True, False),
    ]


def test_a_surface_whose_reader_follows_the_events_has_no_live_row():
    manner = Manner(text_length_max=4_000, escape=lambda text, *, code: text, live=False)
    assert made(STARTED, OUTPUT, manner=manner) == []
    assert shape(made(STARTED, ENDED, manner=manner)) == [("answer", "answer:2", True, False)]


def test_events_that_are_told_already_make_nothing():
    assert made(STARTED, OUTPUT, after=2) == []
    assert made(("notice", {"text": "n"}), after=1) == []


def test_a_long_answer_takes_several_rows_in_order():
    manner = Manner(text_length_max=200, escape=lambda text, *, code: text)
    found = made(STARTED, ("text", {"text": "word " * 100}), ENDED, manner=manner)
    keys = [one.key for one in found if one.kind == "answer"]
    assert keys == ["answer:3", "answer:3:2", "answer:3:3"]


def test_a_question_is_one_row_and_its_end_amends_it():
    asked = ("question", {"question": "q", "text": "sure?"})
    answered = ("question.answered", {"question": "q", "name": "Bo", "answer": "yes"})
    assert shape(made(STARTED, asked, after=1))[0] == ("question", "question:q", True, False)
    late = made(STARTED, asked, answered, after=2)[0]
    assert shape([late]) == [("question", "question:q", True, True)]
    assert "Bo answered: yes" in late.body
    over = made(STARTED, asked, ENDED, after=2)[0]
    assert shape([over]) == [("question", "question:q", True, True)]
    assert "The turn ended" in over.body


def test_an_answer_to_a_question_nobody_saw_makes_nothing():
    assert made(("question.answered", {"question": "?"})) == []


def test_clearing_the_queue_is_told_once():
    cancelled = ("prompt.cancelled", {"name": "Ann"})
    cleared = ("session.cleared", {"name": "Ann", "count": 2})
    assert [one.body for one in made(cancelled, cancelled, cleared)] == [
        "Ann took 2 prompts out of the queue."
    ]
    assert len(made(cancelled)) == 1
    assert len(made(cancelled, ("notice", {"text": "n"}), cleared)) == 3


def test_an_unknown_kind_makes_no_reply_and_no_error():
    assert made(("something new", {"a": 1})) == []
