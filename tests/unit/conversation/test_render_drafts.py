"""Which replies events make."""

from dataclasses import replace
from uuid import UUID

import pytest

from bot.conversation.drafts import (
    CONTINUE,
    RETRY,
    UNDO,
    Draft,
    Signing,
    diff_of,
    drafts,
)
from bot.conversation.fences import Manner
from bot.conversation.render import SeenEvent, Span

MANNER = Manner(text_length_max=4_000, escape=lambda text, *, code: text)
STARTED = ("turn.started", {"prompt": "p"})
OUTPUT = ("output", {"text": "x\n"})
ENDED = ("turn.ended", {"outcome": "succeeded"})


REACTING = Manner(text_length_max=4_000, escape=lambda text, *, code: text, reacts=True)
HERE = "thread"


def made(*events, after=0, start=0, manner=MANNER, thread_id=""):
    seen = [
        SeenEvent(number=start + number, kind=kind, body=body)
        for number, (kind, body) in enumerate(events, 1)
    ]
    span = Span(start=start, events=seen, output_length=2, thread_id=thread_id)
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


def queued(*, ref="7", place=HERE):
    return ("prompt.queued", {"prompt": "p", "ref": ref, "asked_in": place})


def started(*, place=HERE):
    return ("turn.started", {"prompt": "p", "asked_in": place, "asker": "U1"})


def signs(*events, after=0, manner=REACTING):
    found = made(*events, after=after, manner=manner, thread_id=HERE)
    return [
        (one.about, one.sign) if isinstance(one, Signing) else (one.key, one.body)
        for one in found
        if isinstance(one, Signing) or one.kind == "reaction"
    ]


def ended(outcome, seconds=1.0):
    return ("turn.ended", {"outcome": outcome, "seconds": seconds})


def test_a_prompt_bears_a_sign_from_when_it_waits_until_its_turn_begins():
    assert signs(queued()) == [("reaction:p:7", "seen")]
    assert signs(queued(), started(), after=1) == [("reaction:p:", "")]


@pytest.mark.parametrize(
    ("event", "sign"),
    [
        (("question", {"question": "q", "text": "?"}), "waiting"),
        (("question.answered", {"question": "q"}), ""),
        (ended("failed"), "failed"),
        (ended("timed_out"), "failed"),
        (ended("interrupted"), "failed"),
        (ended("succeeded"), ""),
        (ended("stopped"), ""),
        (("prompt.cancelled", {"prompt": "p"}), ""),
    ],
)
def test_the_sign_follows_what_becomes_of_the_prompt(event, sign):
    assert signs(started(), event, after=1) == [("reaction:p:", sign)]


def test_a_prompt_of_another_thread_or_without_a_message_bears_none():
    assert signs(queued(place="elsewhere"), started(place="elsewhere"), ended("failed")) == []
    assert signs(queued(ref="")) == []
    assert signs(queued(), manner=MANNER) == []


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((started(), ended("succeeded", 30.0)), ""),
        ((started(), ended("succeeded", 30.1)), "U1"),
        ((started(), ended("failed")), "U1"),
        ((started(place="elsewhere"), ended("failed")), ""),
    ],
)
def test_an_asker_is_told_of_an_answer_that_took_long_or_failed(events, told):
    answer = made(*events, after=1, thread_id=HERE)[-1]
    assert answer.kind == ("answer" if events[0] == started() else "notice")
    assert answer.notify == told


@pytest.mark.parametrize(("place", "told"), [(HERE, "U1"), ("elsewhere", "")])
def test_where_a_thread_shows_the_end_alone_it_always_names_who_asked(place, told):
    beside = replace(MANNER, in_place=False)
    found = made(started(place=place), ended("succeeded", 0.1), manner=beside, thread_id=HERE)
    assert [one.notify for one in found if one.kind != "live"] == [told] * bool(told)


def test_a_running_turn_can_be_stopped_and_a_failed_one_tried_again_by_buttons():
    (live,) = made(started(), OUTPUT)
    assert [button.says for button in live.buttons] == ["stop", "queue"]
    over = made(started(), ended("failed"), after=1)
    assert over[0].buttons == ()
    retry, on, undo = (replace(one, says=f"{one.says} p") for one in (RETRY, CONTINUE, UNDO))
    assert over[-1].buttons == (retry, undo)
    offered = ("turn.ended", {**ended("failed")[1], "others": [{"agent": "codex", "model": None}]})
    assert made(started(), offered, after=1)[-1].buttons == (retry, on, undo)
    never_ran = made(started(), ended("failed", None), after=1)
    assert never_ran[-1].buttons == (retry,)
    assert made(started(), ended("succeeded"), after=1)[-1].buttons == ()


def test_an_answer_leads_to_the_pull_request_and_is_a_post_of_its_own():
    delivered = ("delivered", {"number": 5, "url": "https://x/a_b/pull/5", "files": 1})
    quickly = ("turn.ended", {"outcome": "succeeded", "seconds": 1.0})
    live, answer = made(STARTED, delivered, delivered, quickly)
    assert (live.kind, answer.kind) == ("live", "answer")
    assert live.stands_for == frozenset()
    assert [(one.label, one.url) for one in answer.buttons] == [
        ("Pull request 5", "https://x/a_b/pull/5")
    ]
    branch = ("delivered", {"branch": "ona/s-1", "url": None})
    assert made(STARTED, branch, ENDED)[-1].buttons == ()


def test_few_choices_of_a_question_are_buttons_until_it_is_settled():
    asked = ("question", {"question": "q", "text": "?", "choices": ["yes", "no"]})
    (question,) = [one for one in made(started(), asked, after=1) if one.kind == "question"]
    assert [(one.label, one.says) for one in question.buttons] == [
        ("yes", "answer q 1"),
        ("no", "answer q 2"),
    ]
    answered = ("question.answered", {"question": "q", "answer": "yes"})
    assert made(started(), asked, answered, after=2)[0].buttons == ()
    many = ("question", {"question": "q", "text": "?", "choices": list("abcdef")})
    (question,) = [one for one in made(started(), many, after=1) if one.kind == "question"]
    assert question.buttons == ()


def test_a_quick_answer_takes_the_place_of_the_live_message():
    instead, live, answer = made(started(), OUTPUT, ended("succeeded", 10.0), after=2)
    assert instead.stands_for == {live.key, answer.key}
    assert (instead.key, instead.body) == (live.key, answer.body)
    for slow in (ended("succeeded", 10.1), ended("failed", 3.0), ENDED):
        live, answer = made(started(), OUTPUT, slow, after=2)
        assert not live.stands_for
        assert live.body != answer.body


def test_what_a_question_came_to_is_a_new_post_that_tells_its_asker():
    asked = ("question", {"question": "q", "text": "?"})
    answered = ("question.answered", {"question": "q", "answer": "yes"})
    events = (started(), OUTPUT, asked, answered, ended("succeeded", 3.0))
    live, answer = made(*events, after=4, thread_id=HERE)
    assert not live.stands_for
    assert (answer.kind, answer.notify) == ("answer", "U1")


def elsewhere(*events, after=0, surface="discord"):
    began = (
        "turn.started",
        {"prompt": "p", "asked_in": "another", "name": "Bo", "surface": surface},
    )
    return made(began, *events, after=after, thread_id=HERE)


@pytest.mark.parametrize(
    ("asked_in", "told"),
    [
        (HERE, "Ann took a prompt out of the queue: “fix the test”."),
        ("another", "Ann took a prompt out of the queue."),
    ],
)
def test_what_was_taken_out_is_quoted_where_it_was_said_alone(asked_in, told):
    queued = ("prompt.queued", {"prompt": "q", "asked_in": asked_in, "text": "fix the test"})
    cancelled = ("prompt.cancelled", {"prompt": "q", "name": "Ann"})
    drafts = made(queued, cancelled, after=1, thread_id=HERE)
    assert [one.body for one in drafts if isinstance(one, Draft) and one.kind == "notice"] == [told]


def test_a_surface_is_called_by_its_own_name():
    began = ("turn.started", {"prompt": "p", "asked_in": "x", "name": "Bo", "surface": "github"})
    (line,) = made(began, OUTPUT, thread_id=HERE)
    assert line.body == "Bo asked for something in GitHub: it is being worked on."


def test_what_is_asked_in_another_thread_is_one_line_without_what_was_asked():
    (line,) = elsewhere(OUTPUT)
    assert (line.kind, line.key) == ("live", "elsewhere")
    assert line.body == "Bo asked for something in Discord: it is being worked on."
    assert elsewhere(OUTPUT, after=1) == []
    (line,) = elsewhere(OUTPUT, ended("succeeded", 12.0), after=2)
    assert (line.key, line.final) == ("elsewhere", False)
    assert line.body == "Bo asked for something in Discord: Done: after 12 s."


@pytest.mark.parametrize(
    ("surface", "named"),
    [("github", "GitHub"), ("gitlab", "GitLab"), ("terminal", "Terminal"), ("", "Another place")],
)
def test_a_place_elsewhere_is_called_as_it_calls_itself(surface, named):
    (line,) = elsewhere(OUTPUT, surface=surface)
    assert line.body.startswith(f"Bo asked for something in {named}:")


def test_what_failed_or_waits_for_somebody_is_told_in_every_thread():
    line, told = elsewhere(ended("failed"), after=1)
    assert (line.key, told.kind) == ("elsewhere", "notice")
    assert "Failed" in told.body
    asked = ("question", {"question": "q", "text": "sure?"})
    assert [one.kind for one in elsewhere(asked, after=1)] == ["question"]


def test_a_pull_request_that_is_opened_is_told_in_every_thread_once():
    url = "https://forge.test/acme/shop/pull/7"
    opened = ("delivered", {"opened": True, "number": 7, "draft": False, "url": url})
    line, told = elsewhere(opened, ended("succeeded"), after=1)
    assert (line.key, told.kind, told.key) == ("elsewhere", "notice", "opened:2")
    assert told.body == f"Bo asked for something in Discord: Pull request 7 was opened: {url}"
    assert [(one.label, one.url) for one in told.buttons] == [("Pull request 7", url)]
    pushed = ("delivered", {**opened[1], "opened": False})
    assert [one.key for one in elsewhere(pushed, ended("succeeded"), after=1)] == ["elsewhere"]


OF_TURN = (
    ("update", {"text": "secret"}),
    ("picture", {"picture": "p", "text": "secret"}),
    ("child.started", {"session": "s-1", "text": "secret"}),
    ("notice", {"text": "secret", "asked_in": "another"}),
)


@pytest.mark.parametrize("event", OF_TURN)
def test_what_belongs_to_a_turn_is_told_where_it_was_asked_for_alone(event):
    assert "secret" not in repr(elsewhere(event, ended("succeeded"), after=1))
    here = (event[0], {**event[1], "asked_in": HERE})
    for told in (event, here) if event[0] != "notice" else (here,):
        assert [one.kind for one in made(started(), told, after=1, thread_id=HERE)] == ["notice"]


def test_failing_lines_stand_where_the_work_was_asked_for_alone():
    body = {"text": "Checks have failed.", "failing": [{"check": "unit", "text": "secret"}]}
    for place, is_told in ((HERE, True), ("another", False)):
        (told,) = made(started(), ("ci", {**body, "failing_in": place}), after=1, thread_id=HERE)
        assert told.body.startswith("Checks have failed.")
        assert ("secret" in told.body) is is_told


def test_what_is_about_the_session_is_told_in_every_thread():
    notices = (("notice", {"text": "n"}), ("machine", {"state": "lost", "why": "gone"}))
    assert [one.kind for one in elsewhere(*notices, after=1)] == ["notice", "notice"]


def test_whoever_follows_the_events_is_told_all_of_it():
    began = ("turn.started", {"prompt": "p", "asked_in": "another"})
    manner = Manner(text_length_max=4_000, escape=lambda text, *, code: text, live=False)
    kinds = [one.kind for one in made(began, *OF_TURN, ENDED, manner=manner, thread_id=HERE)]
    assert kinds == ["notice"] * len(OF_TURN) + ["answer"]


QUEUED = ("prompt.queued", {"project": "shop", "why": "you linked to it", "others": 2})


def labels(draft):
    return [button.label for button in draft.buttons]


def test_the_first_live_message_names_the_project_and_why_and_can_be_wrong():
    manner = Manner(
        text_length_max=4_000, escape=lambda text, *, code: text, pages="https://x.test"
    )
    (live,) = [one for one in made(QUEUED, STARTED, OUTPUT, manner=manner) if one.kind == "live"]
    assert live.body.startswith("Project shop: you linked to it.")
    assert labels(live) == ["Stop", "Queue", "Open session", "Wrong project?"]
    (url,) = [button.url for button in live.buttons if button.url]
    assert url.startswith("https://x.test/sessions/")
    (later,) = made(STARTED, OUTPUT)
    assert "Project" not in later.body
    assert labels(later) == ["Stop", "Queue"]


def test_once_a_file_was_touched_its_changes_can_be_viewed_where_there_are_pages():
    pages = Manner(text_length_max=4_000, escape=lambda text, *, code: text, pages="https://x.test")
    edit = ("tool", {"id": "t", "title": "Edit", "files": ["a.py"]})
    (live,) = made(STARTED, edit, manner=pages)
    assert labels(live) == ["Stop", "Queue", "Open session", "View changes"]
    assert live.buttons[-1].url.endswith("/changes")
    (bare,) = made(STARTED, edit)
    assert labels(bare) == ["Stop", "Queue"]
    *_, answer = made(STARTED, edit, ENDED, manner=pages)
    assert (answer.kind, labels(answer)) == ("answer", ["View changes"])
    *_, answer = made(STARTED, ENDED, manner=pages)
    assert labels(answer) == []


def test_where_there_is_one_project_it_is_never_wrong():
    alone = ("prompt.queued", {**QUEUED[1], "others": 0})
    (live,) = [one for one in made(alone, STARTED, OUTPUT) if one.kind == "live"]
    assert labels(live) == ["Stop", "Queue"]


def test_beside_a_conversation_nothing_is_pressed_to_change_the_project():
    manner = Manner(text_length_max=4_000, escape=lambda text, *, code: text, in_place=False)
    (live,) = [one for one in made(QUEUED, STARTED, OUTPUT, manner=manner) if one.kind == "live"]
    assert "Wrong project?" not in labels(live)


def test_a_title_goes_to_every_thread_but_the_one_whose_name_it_was_first():
    def titled(title, place):
        return ("session.titled", {"title": title, "asked_in": place})

    manner = replace(MANNER, titles=True)

    def names(*events):
        found = made(*events, manner=manner, thread_id=HERE)
        return [one.body for one in found if one.kind == "title"]

    assert names(titled("ours", None)) == ["ours"]
    assert names(titled("ours", None), titled("theirs", HERE)) == [""], "no older one comes"
    assert names(titled("theirs", HERE), titled("ours", None)) == ["ours"]


def test_what_an_agent_posts_is_told_at_once_and_leads_to_what_it_is_about():
    manner = replace(MANNER, pages="https://ona.test")
    posted = (
        ("update", {"text": "Tests are red."}),
        ("picture", {"text": "The page", "picture": "7"}),
        ("child.started", {"session": "s-2", "text": "do it"}),
        ("tool.called", {"tool": "post_update"}),
    )
    found = [one for one in made(STARTED, *posted, manner=manner) if one.kind == "notice"]
    assert [one.body for one in found] == [
        "Tests are red.",
        "Picture: The page",
        "The agent started session s-2: do it",
    ]
    assert [[button.url for button in one.buttons] for one in found] == [
        [],
        ["https://ona.test/sessions//pictures/7"],
        ["https://ona.test/sessions/s-2"],
    ]
    bare = made(STARTED, *posted)
    assert all(not one.buttons for one in bare if one.kind == "notice")


def test_a_notice_about_a_destination_can_be_pressed_where_the_work_was_asked_for():
    asked = ("notice", {"text": "asks for `x.test:443`", "allows": "allow x.test:443"})
    (found,) = [one for one in made(STARTED, asked) if one.kind == "notice"]
    assert [(one.label, one.says) for one in found.buttons] == [
        ("Allow for this session", "allow x.test:443")
    ]
    asked[1]["asked_in"] = "elsewhere"
    assert not [one for one in made(STARTED, asked, thread_id=HERE) if one.kind == "notice"]


CHANGED = "00000000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("place", "documents", "whole", "told"),
    [
        (HERE, True, True, ["What this turn changed:"]),
        (HERE, True, False, ["The beginning of what this turn changed:"]),
        ("elsewhere", True, True, []),
        (HERE, False, True, []),
    ],
)
def test_what_a_turn_changed_is_a_file_below_its_answer_where_it_was_asked_for(
    place, documents, whole, told
):
    manner = replace(MANNER, documents=documents)
    kept = ("delivered", {"branch": "b", "changes": {"id": CHANGED, "whole": whole}})
    found = made(started(place=place), kept, ENDED, manner=manner, thread_id=HERE)
    files = [one for one in found if diff_of(one.key) == UUID(CHANGED)]
    assert [one.body for one in files] == told
    assert found[-len(files) or len(found) :] == files


def test_a_delivery_without_a_diff_has_no_file():
    manner = replace(MANNER, documents=True)
    found = made(started(), ("delivered", {"branch": "b"}), ENDED, manner=manner, thread_id=HERE)
    assert [one for one in found if diff_of(one.key)] == []
