"""Which messages of a chat are for us."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.chat.incoming import Author, Said, Spot
from bot.conversation.addressing import Hearing, ThreadFacts, crowds, decide

ANN = ThreadFacts(has_session=True, speaker="ann")
MENTIONS = ThreadFacts(has_session=True, speaker="ann", mention_only=True)
CROWDED = ThreadFacts(has_session=True, speaker="ann", crowded=True)
NEW = ThreadFacts()


def said(by="ann", *, standing="member", to_us=False, to_others=False, **spot):
    pressed = spot.pop("pressed", False)
    return Said(
        spot=Spot(surface="fake", channel="T/C", place="T/C/1", **spot),
        author=Author(account="T", id=by, name=by.title(), standing=standing),
        delivery="d",
        key="k",
        ref="1",
        text="words",
        to_us=to_us,
        to_others=to_others,
        pressed=pressed,
    )


@pytest.mark.parametrize(
    ("message", "thread", "hearing"),
    [
        (said(to_us=True), NEW, Hearing.TAKE),
        (said(), NEW, Hearing.IGNORE),
        (said(), ANN, Hearing.TAKE),
        (said(to_others=True), ANN, Hearing.IGNORE),
        (said(to_others=True, to_us=True), ANN, Hearing.TAKE),
        (said("bo"), ANN, Hearing.OVERHEAR),
        (said("bo", to_us=True), ANN, Hearing.TAKE),
        (said(), CROWDED, Hearing.IGNORE),
        (said(), MENTIONS, Hearing.IGNORE),
        (said(to_us=True), MENTIONS, Hearing.TAKE),
        (said("bo"), MENTIONS, Hearing.OVERHEAR),
        (said(direct=True), MENTIONS, Hearing.TAKE),
        (said(to_us=True), CROWDED, Hearing.TAKE),
        (said(standing="guest", to_us=True), NEW, Hearing.REFUSE),
        (said(standing="guest"), ANN, Hearing.IGNORE),
        (said(standing="stranger", to_us=True), NEW, Hearing.REFUSE),
        (said(standing="bot", to_us=True), NEW, Hearing.IGNORE),
        (said(standing="bot"), ANN, Hearing.IGNORE),
        (said(to_us=True, shared=True), NEW, Hearing.REFUSE),
        (said(shared=True), ANN, Hearing.IGNORE),
        (said(to_us=True, foreign=True), NEW, Hearing.REFUSE),
        (said(foreign=True), ANN, Hearing.IGNORE),
        (said("bo", pressed=True, to_us=True), ANN, Hearing.TAKE),
    ],
)
def test_a_message_is_taken_refused_overheard_or_ignored(message, thread, hearing):
    assert decide(message, thread) is hearing


def test_a_second_person_crowds_a_thread_by_writing_and_not_by_pressing():
    assert crowds(said("bo"), ANN)
    assert crowds(said("bo", to_us=True), ANN)
    assert not crowds(said("bo", to_us=True, pressed=True), ANN)
    assert not crowds(said("robot", standing="bot"), ANN)
    assert not crowds(said(), ANN)
    assert not crowds(said("bo"), NEW)
    assert not crowds(said("bo"), replace(ANN, crowded=True))


def test_what_was_said_before_a_thread_had_a_session_is_not_for_us_and_crowds_it_not():
    began = replace(ANN, began=datetime(2026, 1, 31, tzinfo=UTC))
    before, after = (datetime(2026, 1, day, tzinfo=UTC) for day in (30, 31))
    assert decide(replace(said(), at=before), began) is Hearing.IGNORE
    assert decide(replace(said(to_us=True), at=before), began) is Hearing.TAKE
    assert decide(replace(said(), at=after), began) is Hearing.TAKE
    assert not crowds(replace(said("bo"), at=before), began)
    assert crowds(replace(said("bo"), at=after), began)


def test_nobody_but_a_member_in_a_place_of_ours_is_ever_taken():
    for standing, shared, to_us, pressed, thread in itertools.product(
        ("member", "guest", "stranger", "bot"), *[(False, True)] * 3, (NEW, ANN, CROWDED)
    ):
        message = said(standing=standing, shared=shared, to_us=to_us, pressed=pressed)
        heard = decide(message, thread)
        assert heard is not Hearing.TAKE or (standing == "member" and not shared)
