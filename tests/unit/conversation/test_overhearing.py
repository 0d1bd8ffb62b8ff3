"""Which messages that are not for us an automation may hear of."""

from dataclasses import replace

import pytest

from adapters.chat.incoming import Author, Said, Spot
from bot.automate.definition import MessageOptions
from bot.conversation.addressing import Hearing, ThreadFacts, decide
from bot.conversation.overhearing import counts, matches_of, may_count

SPOT = Spot(surface="slack", channel="T1/C1", place="T1/C1/1.5")
ANN = Author(account="T1", id="U1", name="Ann")
SAID = Said(
    spot=SPOT, author=ANN, delivery="d", key="T1/C1/1.5", ref="1.5", text="down", to_us=False
)


def heard(said: Said, thread: ThreadFacts | None = None) -> bool:
    facts = thread or ThreadFacts()
    return may_count(said, facts, decide(said, facts))


def test_what_somebody_says_to_the_channel_counts() -> None:
    assert heard(SAID)
    assert heard(replace(SAID, to_others=True))


@pytest.mark.parametrize(
    "said",
    [
        replace(SAID, to_us=True),
        replace(SAID, pressed=True),
        replace(SAID, author=replace(ANN, standing="bot")),
        replace(SAID, author=replace(ANN, standing="guest")),
        replace(SAID, author=replace(ANN, standing="stranger")),
        replace(SAID, spot=replace(SPOT, shared=True)),
        replace(SAID, spot=replace(SPOT, foreign=True)),
        replace(SAID, spot=replace(SPOT, direct=True)),
        replace(SAID, spot=replace(SPOT, channel="")),
        replace(SAID, ref="1.6"),
        replace(SAID, ref=""),
    ],
    ids=[
        "to us",
        "button",
        "bot",
        "guest",
        "stranger",
        "shared",
        "foreign",
        "direct",
        "no channel",
        "within a thread",
        "no message",
    ],
)
def test_what_is_for_us_or_from_outside_does_not(said) -> None:
    assert not heard(said)


def test_what_goes_on_in_a_thread_of_ours_does_not() -> None:
    assert not heard(SAID, ThreadFacts(has_session=True))
    follows = ThreadFacts(has_session=True, speaker="U1")
    assert decide(SAID, follows) is Hearing.TAKE
    assert not heard(SAID, follows)


def test_a_channel_is_known_by_its_address_and_by_its_id() -> None:
    assert matches_of(SAID) == ["slack:T1/C1", "slack:C1"]


@pytest.mark.parametrize(
    ("options", "words", "is_about"),
    [
        ({}, "anything", True),
        ({"contains": ["DOWN", "fire"]}, "the site is down", True),
        ({"contains": ["STRASSE"]}, "in der Straße", True),
        ({"contains": ["down"]}, "all is up", False),
        ({"matches": r"incident \d+"}, "see incident 42!", True),
        ({"matches": r"incident \d+"}, "see incident x", False),
        ({"matches": "(a+)+b"}, "a" * 4_000, False),
        ({"contains": ["down"], "matches": "^prod"}, "prod is down", True),
        ({"contains": ["down"], "matches": "^prod"}, "test is down", False),
        ({"contains": ["late"]}, "x" * 4_000 + "late", False),
    ],
)
def test_a_trigger_is_about_words(options, words, is_about) -> None:
    made = MessageOptions.model_validate({"channel": "slack:#a", **options})
    assert counts(made, words) is is_about
