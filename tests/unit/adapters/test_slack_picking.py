"""The form in which somebody chooses a moment on Slack."""

from adapters.chat.port import Button, Content
from adapters.chat.slack import picking
from adapters.chat.slack.markup import blocks

WORDS = {one: one for one in picking.OF_FORM}


def pressed(**more):
    button = Button(label="Another time", says="reminders snooze r-7f3k {at}", picks=True)
    (_text, actions) = blocks(Content(text="x", buttons=(button,)))
    (action,) = actions["elements"]
    return {
        "actions": [action],
        "channel": {"id": "C1"},
        "container": {"message_ts": "2.0", "thread_ts": "1.0"},
        **more,
    }


def sent(body, *, at=None, words=None):
    form = picking.view(picking.where(body), WORDS)
    values = {
        picking.PICKER: {picking.PICKER: {"selected_date_time": at}},
        picking.WORDS: {picking.WORDS: {"value": words}},
    }
    return picking.chosen({**form, "state": {"values": values}})


def test_a_button_that_wants_a_moment_is_told_apart():
    assert picking.is_pick(pressed()["actions"][0])
    (_text, actions) = blocks(Content(text="x", buttons=(Button(label="Stop", says="stop"),)))
    assert not picking.is_pick(actions["elements"][0])


def test_what_was_chosen_takes_its_place():
    where, says = sent(pressed(), at=1893488400)
    assert says == "reminders snooze r-7f3k 2030-01-01 09:00 UTC"
    assert (where.channel, where.thread) == ("C1", "1.0")
    assert sent(pressed(), words=" friday \n 16:00 ")[1] == "reminders snooze r-7f3k friday 16:00"
    assert sent(pressed(), at=1893488400, words="friday")[1].endswith("09:00 UTC")
    assert sent(pressed(), words="  ") is None


def test_a_button_that_stands_in_no_conversation_opens_no_form():
    assert picking.where(pressed(container={}, channel=None)) is None
