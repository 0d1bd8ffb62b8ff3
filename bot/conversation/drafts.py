"""Which replies a stretch of a session's events makes; pure.

notice …………………… one row an event, posted once
question ………………… one row a question, edited when it is settled
step, output, … ──▶ one `live` row a turn, edited while it runs
turn.ended ──▶ the `answer` rows, and the last wording of the live row if there is one
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from bot.conversation import render
from bot.conversation.fences import Manner, split
from bot.conversation.render import SeenEvent, Span

Kind = Literal["live", "answer", "notice", "question"]

NOTICES = frozenset(
    {"notice", "session.held", "session.resumed", "session.cleared", "prompt.cancelled", "machine"}
)
SETTLING = frozenset({"question.answered", "question.expired"})
TELLING = frozenset({"turn.ended", "question", "error"}) | SETTLING | NOTICES
"""Kinds that a thread is told about at once; everything else can wait for the next live edit."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A reply as it should stand in a thread."""

    kind: Kind
    key: str
    """One row a thread and key."""
    body: str
    final: bool
    """It waits for nothing but the surface's own limit."""
    amends: bool = False
    """Only changes a row that exists; a thread that never saw it is not told of its end."""
    turn_id: UUID | None = None


def drafts(span: Span, *, after: int, manner: Manner) -> list[Draft]:
    """The rows that the events of `span` after number `after` make or change, in order."""
    made: list[Draft] = []
    for event in span.events:
        if event.number > after:
            made += _of_event(span, event, manner)
    if span.ended is None and manner.live:
        made += _live(span, after)
    return made


def live_key(span: Span) -> str:
    """Key of the live row of the span's turn; known before the turn begins."""
    return f"live:{span.start}"


def _of_event(span: Span, event: SeenEvent, manner: Manner) -> Iterator[Draft]:
    if event.kind == "turn.ended":
        yield from _open_questions(span)
        yield from _end(span, event, manner)
    elif event.kind == "question":
        yield _question(span, event)
    elif event.kind in SETTLING:
        asked = _asked(span, str(event.body.get("question")))
        if asked is not None:
            yield _question(span, asked, amends=True)
    elif event.kind in NOTICES and not _part_of_clearing(span, event):
        body = render.notice(event)
        if body:
            yield Draft(
                kind="notice",
                key=f"notice:{event.number}",
                body=body,
                final=True,
                turn_id=event.turn_id,
            )


def _end(span: Span, ended: SeenEvent, manner: Manner) -> Iterator[Draft]:
    if manner.live:
        yield Draft(
            kind="live",
            key=live_key(span),
            body=render.live(span),
            final=True,
            amends=True,
            turn_id=ended.turn_id,
        )
    for number, part in enumerate(split(render.answer(span, manner), manner), 1):
        yield Draft(
            kind="answer",
            key=f"answer:{ended.number}" + (f":{number}" if number > 1 else ""),
            body=part,
            final=True,
            turn_id=ended.turn_id,
        )


def _live(span: Span, after: int) -> Iterator[Draft]:
    news = [one for one in span.events if one.number > after and one.kind not in NOTICES]
    body = render.live(span) if news else ""
    if body:
        turn_id = next((one.turn_id for one in reversed(span.events) if one.turn_id), None)
        yield Draft(kind="live", key=live_key(span), body=body, final=False, turn_id=turn_id)


def _question(span: Span, asked: SeenEvent, *, amends: bool = False) -> Draft:
    name = str(asked.body.get("question"))
    settled = next(
        (
            one
            for one in span.events
            if one.kind in SETTLING and str(one.body.get("question")) == name
        ),
        span.ended,
    )
    return Draft(
        kind="question",
        key=f"question:{name}",
        body=render.question(asked, settled),
        final=True,
        amends=amends,
        turn_id=asked.turn_id,
    )


def _asked(span: Span, name: str) -> SeenEvent | None:
    for one in span.events:
        if one.kind == "question" and str(one.body.get("question")) == name:
            return one
    return None


def _open_questions(span: Span) -> Iterator[Draft]:
    settled = {str(one.body.get("question")) for one in span.events if one.kind in SETTLING}
    for one in span.events:
        if one.kind == "question" and str(one.body.get("question")) not in settled:
            yield _question(span, one, amends=True)


def _part_of_clearing(span: Span, event: SeenEvent) -> bool:
    """One of many that `session.cleared` right after it tells at once."""
    if event.kind != "prompt.cancelled":
        return False
    following = (one for one in span.events if one.number > event.number)
    for number, one in enumerate(following, event.number + 1):
        if one.number != number or one.kind != "prompt.cancelled":
            return one.number == number and one.kind == "session.cleared"
    return False
