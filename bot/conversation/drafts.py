"""Which replies a stretch of a session's events makes; pure.

notice …………………… one row an event, posted once
question ………………… one row a question, edited when it is settled
step, output, … ──▶ one `live` row a turn, edited while it runs
turn.ended ──▶ the `answer` rows, and the last wording of the live row if there is one
prompt.queued, turn.started, question, turn.ended ──▶ the sign at the prompt's own messages
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from adapters.chat.port import LABEL_LENGTH_MAX, Button, Live, Phase, Sign
from bot.conversation import render
from bot.conversation.buttons import labelled
from bot.conversation.fences import Manner, split
from bot.conversation.render import SeenEvent, Span
from bot.words import events as event_words
from bot.words.amounts import short
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.work.titling import TITLED

Kind = Literal["live", "answer", "notice", "question", "reaction", "title", "phase"]

NOTICES = frozenset(
    {
        *("notice", "session.held", "session.resumed", "session.cleared", "prompt.cancelled"),
        *("machine", "update", "picture", "child.started", "ci"),
    }
)
OF_TURN = frozenset({"update", "picture", "child.started"})
"""Those that are a part of what a turn answers."""
SETTLING = frozenset({"question.answered", "question.expired"})
FAILURES = frozenset({"failed", "timed_out", "interrupted", "budget"})
"""Outcomes after which a person has to decide something."""
QUEUEING = frozenset({"prompt.queued", "prompt.joined"})
"""Kinds that a surface which reacts is told about at once too."""
REQUEUING = QUEUEING | {"prompt.cancelled", "session.cleared"}
"""Kinds after which other prompts wait, or at other places."""
TELLING = frozenset({"turn.ended", "question", "error", TITLED}) | SETTLING | NOTICES
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
    stands_for: frozenset[str] = frozenset()
    """Keys of later drafts that are not needed where this one is written, which it only is when
    its post is known to stand in the thread."""
    turn_id: UUID | None = None
    buttons: tuple[Button, ...] = ()
    notify: str = ""
    live: Live | None = None
    """Of a live one: how far its turn is."""


@dataclass(frozen=True, kw_only=True)
class Signing:
    """Another sign at the messages of a prompt, those that bear one."""

    about: str
    """What the keys of their reactions begin with."""
    sign: str
    """Empty: none."""


ELSEWHERE = "elsewhere"
"""Key of the one row about what is asked in other threads of the session."""
TITLE = "title"
"""Key of the one row that is the name of the thread."""
PICTURE = "picture:"
"""What the keys of notices begin with that have a picture; its id follows."""
DIFF = "diff:"
"""The same of those that have what a turn changed."""
PHASE = "phase"
"""Key of the one row that is what goes on in the thread."""
STOP = Button(label=N_("Stop"), says="stop")
QUEUE = Button(label=N_("Queue"), says="queue")
WRONG = Button(label=N_("Wrong project?"), says="wrong project")
RETRY = Button(label=N_("Retry"), says="retry")
UNDO = Button(label=N_("Undo"), says="undo")
CONTINUE = Button(label=N_("Continue with another model"), says="continue")
ALLOW = Button(label=N_("Allow for this session"))
NOTIFY_SECONDS_MIN = 30.0
"""A person still looks at a thread that answers sooner."""
IN_PLACE_SECONDS_MAX = 10.0
"""An answer that comes sooner takes the place of the live message."""
CHOICE_BUTTONS_MAX = 5


def drafts(span: Span, *, after: int, manner: Manner) -> list[Draft | Signing]:
    """The rows that the events of `span` after number `after` make or change, in order."""
    made: list[Draft | Signing] = []
    for event in span.events:
        if event.number > after:
            made += _of_event(span, event, manner)
            if manner.reacts:
                made += _signs(span, event)
    if span.ended is None and manner.live:
        made += _live(span, after, manner)
    if manner.titles:
        made += _title(span, after)
    if manner.phases:
        made += _phase(span, after)
    return made


def _title(span: Span, after: int) -> Iterator[Draft]:
    """What the thread is to be called; nothing where its own name was changed to that, so that an
    older title that waits doesn't come, and a newer name of somebody's isn't taken back."""
    given = [one for one in span.events if one.kind == TITLED and one.number > after]
    if given:
        title = "" if span.said_here(given[-1]) else str(given[-1].body.get("title"))
        yield Draft(kind="title", key=TITLE, body=title, final=True)


def _phase(span: Span, after: int) -> Iterator[Draft]:
    """What goes on now; that nothing does is only told where something did."""
    for event in reversed(span.events):
        phase = _phase_after(event)
        if event.number > after and phase is not None:
            ended = phase is Phase.IDLE
            yield Draft(kind="phase", key=PHASE, body=phase.value, final=True, amends=ended)
            return


def _phase_after(event: SeenEvent) -> Phase | None:
    if event.kind == "question":
        return Phase.WAITING
    if event.kind == "turn.started" or event.kind in SETTLING:
        return Phase.WORKING
    return Phase.IDLE if event.kind == "turn.ended" else None


def live_key(span: Span) -> str:
    """Key of the live row of the span's turn; known before the turn begins."""
    return f"live:{span.start}"


def message_of(key: str) -> str:
    """The message that a reaction with this key stands at."""
    return key.split(":", 2)[2]


def _about(prompt: object) -> str:
    return f"reaction:{prompt}:"


def _signs(span: Span, event: SeenEvent) -> Iterator[Draft | Signing]:
    """A sign where a prompt was said; it follows what becomes of the prompt."""
    body = event.body
    if event.kind in QUEUEING and body.get("ref") and span.said_here(event):
        key = f"{_about(body.get('prompt'))}{body['ref']}"
        yield Draft(kind="reaction", key=key, body=Sign.SEEN.value, final=True)
    elif event.kind == "prompt.cancelled":
        yield Signing(about=_about(body.get("prompt")), sign="")
    elif span.asked_here and span.started is not None and event.number >= span.started.number:
        sign = _sign(event)
        if sign is not None:
            yield Signing(about=_about(span.started.body.get("prompt")), sign=sign)


def _sign(event: SeenEvent) -> str | None:
    """What an event of its turn leaves at the prompt; None: what stood there."""
    if event.kind == "question":
        return Sign.WAITING.value
    if event.kind == "turn.ended":
        return Sign.FAILED.value if event.body.get("outcome") in FAILURES else ""
    return "" if event.kind == "turn.started" or event.kind in SETTLING else None


def _of_event(span: Span, event: SeenEvent, manner: Manner) -> Iterator[Draft]:
    if event.kind == "turn.ended" and manner.live and span.asked_elsewhere:
        yield from _open_questions(span)
        yield from _elsewhere(span, event)
    elif event.kind == "turn.ended":
        yield from _open_questions(span)
        yield from _end(span, event, manner)
    elif event.kind == "question":
        yield _question(span, event)
    elif event.kind in SETTLING:
        asked = _asked(span, str(event.body.get("question")))
        if asked is not None:
            yield _question(span, asked, amends=True)
    elif event.kind in NOTICES and not (
        _part_of_clearing(span, event) or (manner.live and _of_another(span, event))
    ):
        body = render.notice(_without_failing(span, event), dropped=_dropped(span, event))
        if body:
            yield Draft(
                kind="notice",
                key=_notice_key(event),
                body=body,
                final=True,
                turn_id=event.turn_id,
                buttons=_leading(span, event, manner),
            )


def _dropped(span: Span, event: SeenEvent) -> str:
    """What a cancelled prompt said, where it stands; "" elsewhere: fewer people may read that."""
    if event.kind != "prompt.cancelled" or event.body.get("unsaid"):
        return ""
    prompt = event.body.get("prompt")
    for one in span.events:
        if one.kind in QUEUEING and one.body.get("prompt") == prompt and span.said_here(one):
            return str(one.body.get("text") or "")
    return ""


def _without_failing(span: Span, event: SeenEvent) -> SeenEvent:
    """As threads read it in which the work was not asked for: more people may read those."""
    if "failing" not in event.body or event.body.get("failing_in") in {None, span.thread_id}:
        return event
    body = {name: value for name, value in event.body.items() if name != "failing"}
    return replace(event, body=body)


def _of_another(span: Span, event: SeenEvent) -> bool:
    """Whether it is for another thread alone, who may be fewer people: they asked for it."""
    if event.body.get("asked_in") and span.thread_id:
        return not span.said_here(event)
    return event.kind in OF_TURN and span.asked_elsewhere


def _notice_key(event: SeenEvent) -> str:
    if event.kind == "picture":
        return f"{PICTURE}{event.body.get('picture')}"
    return f"notice:{event.number}"


def picture_of(key: str) -> UUID | None:
    """The picture that stands beside the reply with this key."""
    return UUID(key.removeprefix(PICTURE)) if key.startswith(PICTURE) else None


def _leading(span: Span, event: SeenEvent, manner: Manner) -> tuple[Button, ...]:
    """Where a notice leads: to a picture, or to a session that an agent started; what it asks."""
    body = event.body
    if says := str(body.get("allows") or ""):
        return (replace(ALLOW, says=says),)
    if not manner.pages or event.kind not in {"picture", "child.started"}:
        return ()
    if event.kind == "picture":
        url = f"{manner.pages}/sessions/{span.short}/pictures/{body.get('picture')}"
        return (Button(label=_("Open picture"), url=url),)
    return (Button(label=_("Open session"), url=f"{manner.pages}/sessions/{body.get('session')}"),)


def _end(span: Span, ended: SeenEvent, manner: Manner) -> Iterator[Draft]:
    failed = ended.body.get("outcome") in FAILURES
    asked = any(one.kind == "question" for one in span.events)
    tells = asked or _late(ended, failed=failed) or manner.shows_ends_alone
    parts = split(render.answer(span, manner), manner)
    links = (*_links(span), *_changes(span, manner))
    quick = not (failed or asked or links) and len(parts) == 1 and _is_quick(ended, manner)
    if manner.live:
        live = Draft(
            kind="live",
            key=live_key(span),
            body=render.live(span),
            final=True,
            amends=True,
            turn_id=ended.turn_id,
            live=_reached(ended),
        )
        if quick:
            instead = frozenset({live.key, f"answer:{ended.number}"})
            yield replace(live, body=parts[0], stands_for=instead)
        yield live
    for number, part in enumerate(parts, 1):
        yield Draft(
            kind="answer",
            key=f"answer:{ended.number}" + (f":{number}" if number > 1 else ""),
            body=part,
            final=True,
            turn_id=ended.turn_id,
            buttons=() if number < len(parts) else _after(span, ended) if failed else links,
            notify=_asker(span) if number == 1 and tells else "",
        )
    yield from _diffs(span, manner)


def _diffs(span: Span, manner: Manner) -> Iterator[Draft]:
    """What was changed and delivered, as files, where it was asked for."""
    if not manner.documents or not span.asked_here:
        return
    for one in span.events:
        body = render.changes(one)
        if body:
            key = f"{DIFF}{one.body['changes']['id']}"
            yield Draft(kind="notice", key=key, body=body, final=True, turn_id=one.turn_id)


def diff_of(key: str) -> UUID | None:
    """The diff that stands beside the reply with this key."""
    return UUID(key.removeprefix(DIFF)) if key.startswith(DIFF) else None


def _after(span: Span, ended: SeenEvent) -> tuple[Button, ...]:
    """What can be done about a turn that failed; one without a machine left nothing to undo."""
    buttons = [RETRY]
    if ended.body.get("others"):
        buttons.append(CONTINUE)
    if _seconds(ended) < math.inf:
        buttons.append(UNDO)
    # Others may have run since when somebody presses one: each says whose turn it is about.
    prompt = span.started.body.get("prompt") if span.started is not None else None
    return tuple(labelled(replace(one, says=f"{one.says} {prompt}")) for one in buttons if prompt)


def _is_quick(ended: SeenEvent, manner: Manner) -> bool:
    return manner.in_place and _seconds(ended) <= IN_PLACE_SECONDS_MAX


def _links(span: Span) -> tuple[Button, ...]:
    """To what was delivered: a surface may show an address so that nobody can follow it."""
    urls = {
        str(one.body["url"]): one.body.get("number")
        for one in span.events
        if one.kind == "delivered" and one.body.get("url")
    }
    return tuple(
        Button(label=_(event_words.READY, number=number), url=url) for url, number in urls.items()
    )


def _reached(ended: SeenEvent | None) -> Live:
    if ended is None:
        return Live.RUNNING
    return Live.DONE if ended.body.get("outcome") == "succeeded" else Live.ENDED


def _late(ended: SeenEvent, *, failed: bool) -> bool:
    return failed or NOTIFY_SECONDS_MIN < _seconds(ended) < math.inf


def _seconds(ended: SeenEvent) -> float:
    seconds = ended.body.get("seconds")
    return seconds if isinstance(seconds, int | float) else math.inf


def _asker(span: Span) -> str:
    """Who asked for the span's turn, as this thread's surface calls them; "" elsewhere."""
    if not span.asked_here or span.started is None:
        return ""
    return str(span.started.body.get("asker") or "")


def _elsewhere(span: Span, ended: SeenEvent | None = None) -> Iterator[Draft]:
    """One line for all that is asked in other threads, edited in place.

    That a turn failed, and that it opened a pull request, is told.
    """
    turn_id = span.started.turn_id if span.started else None
    yield Draft(
        kind="live",
        key=ELSEWHERE,
        body=render.elsewhere(span),
        final=False,
        turn_id=turn_id,
        live=_reached(ended),
    )
    if ended is None:
        return
    for one in span.events:
        if one.kind == "delivered" and one.body.get("opened"):
            body = render.opened_elsewhere(span, one)
            key = f"opened:{one.number}"
            link = (Button(label=event_words.pull_request(one.body), url=str(one.body.get("url"))),)
            yield Draft(
                kind="notice", key=key, body=body, final=True, turn_id=turn_id, buttons=link
            )
    if ended.body.get("outcome") in FAILURES:
        key, body = f"failed:{ended.number}", render.elsewhere(span)
        yield Draft(kind="notice", key=key, body=body, final=True, turn_id=turn_id)


def _live(span: Span, after: int, manner: Manner) -> Iterator[Draft]:
    if span.asked_elsewhere:
        changing = REQUEUING | {"turn.started"}
        if any(one.number > after and one.kind in changing for one in span.events):
            yield from _elsewhere(span)
        return
    news = [
        one
        for one in span.events
        if one.number > after and (one.kind not in NOTICES or one.kind in REQUEUING)
    ]
    body = render.live(span) if news else ""
    if body:
        turn_id = next((one.turn_id for one in reversed(span.events) if one.turn_id), None)
        yield Draft(
            kind="live",
            key=live_key(span),
            body=body,
            final=False,
            turn_id=turn_id,
            buttons=_buttons(span, manner),
            live=Live.RUNNING,
        )


def _buttons(span: Span, manner: Manner) -> tuple[Button, ...]:
    buttons = [labelled(STOP), labelled(QUEUE)]
    if manner.pages:
        url = f"{manner.pages}/sessions/{span.short}"
        buttons.append(Button(label=_("Open session"), url=url))
    buttons += _changes(span, manner)
    if manner.in_place and any(one.body.get("others") for one in span.events):
        buttons.append(labelled(WRONG))
    return tuple(buttons)


def _changes(span: Span, manner: Manner) -> tuple[Button, ...]:
    """To what an agent changed in files, once it has."""
    if not manner.pages or not any(one.body.get("files") for one in span.events):
        return ()
    return (Button(label=_("View changes"), url=f"{manner.pages}/sessions/{span.short}/changes"),)


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
        buttons=() if settled else _choices(asked),
        notify=_asker(span),
    )


def _choices(asked: SeenEvent) -> tuple[Button, ...]:
    choices = [str(one) for one in asked.body.get("choices") or ()]
    if len(choices) > CHOICE_BUTTONS_MAX:
        return ()
    # By which question and choice, whatever is open when it is pressed and the label's language.
    question = asked.body.get("question")
    return tuple(
        Button(label=short(one, LABEL_LENGTH_MAX), says=f"answer {question} {number}")
        for number, one in enumerate(choices, 1)
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
