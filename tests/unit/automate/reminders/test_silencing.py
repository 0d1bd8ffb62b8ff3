"""Who gets a reminder no more that somebody else has set."""

import pytest

from bot.automate.reminders.silencing import of_person, without_person, without_place

HERE = {"thread": "t1", "everybody": "yes", "notify": "U1,U2"}
NOTIFIED = {"thread": "t1", "notify": "U1,U2"}
CHANNEL = {"thread": "t2", "channel": "T1/C1"}
ALONE = {"thread": "t3", "alone": "U2"}


@pytest.mark.parametrize(
    ("targets", "left"),
    [
        ([NOTIFIED], [{"thread": "t1", "notify": "U1"}]),
        ([{"thread": "t1", "notify": "U2"}], []),
        ([HERE], [{"thread": "t1", "everybody": "yes", "notify": "U1"}]),
        (
            [{"thread": "t1", "everybody": "yes", "notify": "U2"}],
            [{"thread": "t1", "everybody": "yes"}],
        ),
        ([ALONE], []),
        ([CHANNEL, ALONE], [CHANNEL]),
        ([NOTIFIED, CHANNEL, ALONE], [{"thread": "t1", "notify": "U1"}, CHANNEL]),
        ([CHANNEL], None),
        ([{"thread": "t1", "notify": "U22,2"}], None),
        ([], None),
    ],
)
def test_what_is_left_when_one_person_gets_it_no_more(targets, left):
    assert without_person(targets, lambda _target: ["U2"]) == left


def test_somebody_is_called_differently_in_each_place():
    targets = [{"thread": "t1", "notify": "bo"}, {"thread": "t2", "notify": "bo"}]
    called = {"t1": ["bo"], "t2": ["4711"]}
    assert without_person(targets, lambda target: called[target["thread"]]) == [targets[1]]


@pytest.mark.parametrize(
    ("here", "left"),
    [({"t2"}, [NOTIFIED, ALONE]), ({"t1", "t2", "t3"}, []), (set(), None)],
)
def test_what_is_left_when_it_is_not_posted_somewhere_any_more(here, left):
    targets = [NOTIFIED, CHANNEL, ALONE]
    assert without_place(targets, lambda target: target["thread"] in here) == left


@pytest.mark.parametrize(
    ("targets", "theirs"),
    [
        ([NOTIFIED], [{"thread": "t1", "notify": "U2"}]),
        ([HERE], [{"thread": "t1", "notify": "U2"}]),
        ([CHANNEL, ALONE], [ALONE]),
        ([{**CHANNEL, "notify": "U22,2"}], []),
        ([{"thread": "t1", "everybody": "yes"}], []),
    ],
)
def test_what_of_it_one_person_gets(targets, theirs):
    assert of_person(targets, lambda _target: ["U2"]) == theirs
