"""What a thread reads about a session's events: answers, live messages, notices, questions; pure.

Every text is a body in the sense of `bot.conversation.fences`; everything that comes from outside
(names, prompts, output, an agent's words) goes through `prose` or `fenced`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from bot.conversation.fences import Manner, fenced, marked, prose, tail
from bot.words import events as event_words
from bot.words import machines as machine_words
from bot.words.amounts import dollars, duration, ordinal, prompts, short, tenths
from bot.words.catalogue import N_, ngettext
from bot.words.catalogue import gettext as _
from bot.words.listening import name_of
from bot.words.plain import settled

LIVE_TEXT_LENGTH_MAX = 600
LIVE_TOOLS_MAX = 5
LIVE_OUTPUT_LINES_MAX = 12
LIVE_OUTPUT_LENGTH_MAX = 900
ELAPSED_SECONDS_MIN = 10.0
"""A turn is not said to have lasted before that."""
TOUCHED_MAX = 5
"""Files that are named."""
WAITING_MAX = 5
"""Prompts in the queue whose places are named."""
FAILING_MAX = 3
PLAN_ENTRIES_MAX = 12
LINE_LENGTH_MAX = 200
OUTCOME_LENGTH_MAX = 600
"""Of why a turn ended, where that is the answer: what was kept and what to do come last."""
CHOICES_MAX = 20
DROPPED_LENGTH_MAX = 80
"""Of a prompt that was taken out: enough to tell which it was."""
QUESTION_LENGTH_MAX = 1_500
PENDING = N_("pending")
DELIVERIES = frozenset({"delivered", "undelivered"})
STATUSES = (PENDING, N_("in_progress"), N_("completed"), N_("failed"))
"""Of plan entries and tools, as agents say them."""


@dataclass(frozen=True, kw_only=True)
class SeenEvent:
    """An event as it is read back."""

    number: int
    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)
    turn_id: UUID | None = None
    at: float | None = None
    """Seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A prompt in the session's queue."""

    name: str
    """Of who asked."""
    place: int
    """1: it goes next."""
    thread_id: str
    """Where it was said."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """What happened from one turn's end (exclusive) to the next one's, or to now."""

    start: int
    """Number of the event that ended the turn before; 0: this is the first."""
    events: Sequence[SeenEvent]
    """In order; of the output perhaps only the end."""
    output_length: int = 0
    """Characters of all output events, those left out too."""
    thread_id: str = ""
    """The thread that reads it."""
    short: str = ""
    """What its session is called."""
    waiting: Sequence[Waiting] = ()
    """The prompts that wait behind its turn, by place; one more than is named says so."""

    @property
    def started(self) -> SeenEvent | None:
        """The start of its turn."""
        return next((one for one in self.events if one.kind == "turn.started"), None)

    @property
    def asked_here(self) -> bool:
        """Whether its turn's prompt was said in this thread."""
        return self.started is not None and self.said_here(self.started)

    @property
    def asked_elsewhere(self) -> bool:
        """Whether its turn's prompt was said in another thread."""
        known = self.started is not None and bool(self.started.body.get("asked_in"))
        return known and bool(self.thread_id) and not self.asked_here

    def said_here(self, event: SeenEvent) -> bool:
        """Whether what the event is about was said in this thread."""
        return bool(self.thread_id) and str(event.body.get("asked_in")) == self.thread_id

    @property
    def ended(self) -> SeenEvent | None:
        """The end of its turn."""
        return next((one for one in reversed(self.events) if one.kind == "turn.ended"), None)


def answer(span: Span, manner: Manner) -> str:
    """The final reply of a turn: what was said, the output, how it ended."""
    said = _last_words(span.events)
    parts = [prose(said) if manner.dialect is None else marked(said)]
    if not (parts[0] and any(one.kind == "tool" for one in span.events)):
        parts.append(
            _output(
                span,
                lines_max=manner.output_lines_max,
                length_max=manner.output_length_max,
            )
        )
    parts += [prose(text) for text in _texts(span.events, "undone")]
    # What a turn could not be run for is its outcome too, and said once.
    ended = str(span.ended.body.get("summary") or "") if span.ended is not None else ""
    errors = [text for text in _texts(span.events, "error") if text not in ended]
    parts += [_("Error: {text}", text=_line(text)) for text in errors]
    parts += [delivered(one) for one in span.events if one.kind in DELIVERIES]
    if span.ended is not None:
        parts += [] if span.asked_elsewhere else _tests(span.ended)
        parts.append(outcome(span.ended, length_max=OUTCOME_LENGTH_MAX))
    return "\n".join(part for part in parts if part)


def delivered(event: SeenEvent) -> str:
    """What became of a turn's work, in a line or two."""
    if event.kind == "undelivered":
        return prose(str(event.body.get("text", "")))
    return prose(event_words.delivered(event.body))


def changes(event: SeenEvent) -> str:
    """What stands above the file with what a turn changed; "" without one."""
    kept = event.body.get("changes")
    if event.kind != "delivered" or not isinstance(kept, Mapping):
        return ""
    if kept.get("whole"):
        return _("What this turn changed:")
    return _("The beginning of what this turn changed:")


def outcome(ended: SeenEvent, *, length_max: int = LINE_LENGTH_MAX) -> str:
    """One line on how a turn ended: outcome, exit status, by whom, duration, cost."""
    body = ended.body
    name = str(body.get("outcome", "ended"))
    summary = _line(str(body.get("summary") or ""), length_max).rstrip(".")
    # What was kept and what to do come last, after what is known of the turn.
    how, then, after = summary.partition("; ")
    facts, known = [how], summary.lower()
    if (by := body.get("by")) and str(by).lower() not in known:
        facts.append(_("by {name}", name=_line(str(by))))
    if (status := body.get("exit_status")) is not None:
        exited = _("exit status {status}", status=status)
        facts += [] if exited.lower() in known else [exited]
    seconds = body.get("seconds")
    if isinstance(seconds, int | float) and tenths(seconds) not in known:
        facts.append(_("after {duration}", duration=duration(seconds)))
    if isinstance(cost := body.get("cost_micro"), int) and cost > 0:
        facts.append(_("{amount} USD", amount=dollars(cost)))
    said = ", ".join(fact for fact in facts if fact) + then + after
    word = event_words.outcome(name) or _line(name).capitalize() or _("Ended")
    if said.lower().startswith(word.lower()):
        return f"{said[0].upper()}{said[1:]}."
    return f"{word}: {said}." if said else f"{word}."


def live(span: Span) -> str:
    """What a turn does at this moment; "" before there is anything to tell."""
    if span.ended is not None:
        return outcome(span.ended)
    events = span.events
    if not any(one.kind == "turn.started" for one in events):
        steps = [one for one in events if one.kind == "step"]
        return "\n".join(filter(None, (chosen(span), _step(steps[-1])))) if steps else ""
    parts = [chosen(span), " ".join(filter(None, (_standing(events), _cost(events))))]
    parts.append(_plan(events))
    words = settled(_last_words(events))
    parts.append(marked(tail(words, lines_max=8, length_max=LIVE_TEXT_LENGTH_MAX)))
    parts += _tools(events)
    parts += [_touched(events), _queued(span.waiting)]
    parts.append(_output(span, lines_max=LIVE_OUTPUT_LINES_MAX, length_max=LIVE_OUTPUT_LENGTH_MAX))
    return "\n".join(part for part in parts if part)


def chosen(span: Span) -> str:
    """Which project the session works on and why; "" but for its first turn."""
    for one in span.events:
        if one.kind == "prompt.queued" and (project := one.body.get("project")):
            return _(
                "Project {project}: {why}.",
                project=_line(str(project)),
                why=_line(str(one.body.get("why"))),
            )
    return ""


def elsewhere(span: Span) -> str:
    """One line about a turn that was asked for in another thread, without what was asked."""
    how = outcome(span.ended) if span.ended is not None else _("it is being worked on.")
    here = [one for one in span.waiting if one.thread_id == span.thread_id]
    queued = "" if span.ended is not None else _queued(here)
    return "\n".join(filter(None, (_asked_elsewhere(span, how), queued)))


def opened_elsewhere(span: Span, event: SeenEvent) -> str:
    """One line about a pull request that such a turn opened, by what was delivered."""
    body = event.body
    pull = event_words.pull_request(body)
    how = _("{pull} was opened: {url}", pull=pull, url=prose(str(body.get("url"))))
    return _asked_elsewhere(span, how)


def _asked_elsewhere(span: Span, how: str) -> str:
    started = span.started.body if span.started is not None else {}
    name = _line(str(started.get("name") or _("somebody")))
    surface = _line(name_of(str(started.get("surface") or _("another place"))))
    return _("{name} asked for something in {surface}: {how}", name=name, surface=surface, how=how)


def notice(event: SeenEvent, *, dropped: str = "") -> str:
    """What a thread is told about an event outside of answers; "" if nothing.

    :param dropped: what the prompt said that was taken out, if this thread may read it
    """
    body = event.body
    name = _line(str(body.get("name") or _("somebody")))
    said = ""
    match event.kind:
        case "notice" | "update" | "ci":
            said = "\n".join([prose(str(body.get("text", ""))), *_failing(body)])
        case "picture":
            said = _("Picture: {text}", text=_line(str(body.get("text", ""))))
        case "child.started":
            said = _(
                "The agent started session {session}: {text}",
                session=_line(str(body.get("session", "?"))),
                text=_line(str(body.get("text", ""))),
            )
        case "session.held":
            held = list(body.get("held") or ())
            names = ", ".join(dict.fromkeys(_line(str(one.get("name", "?"))) for one in held))
            said = ngettext(
                "{name} stopped here: {count} prompt of {names} held. "
                "`resume` lets them go on, `clear` drops them.",
                "{name} stopped here: {count} prompts of {names} held. "
                "`resume` lets them go on, `clear` drops them.",
                len(held),
                name=name,
                names=names,
            )
        case "session.resumed":
            said = _("{name} let the queue go on.", name=name)
        case "session.cleared":
            count = int(body.get("count", 0))
            said = _("{name} took {prompts} out of the queue.", name=name, prompts=prompts(count))
        case "prompt.cancelled" if dropped:
            text = _line(dropped, DROPPED_LENGTH_MAX)
            said = _("{name} took a prompt out of the queue: “{text}”.", name=name, text=text)
        case "prompt.cancelled":
            said = _("{name} took a prompt out of the queue.", name=name)
        case "machine" if body.get("why"):
            said = _(
                "The machine is {state}: {why}",
                state=event_words.machine_state(_line(str(body.get("state", "?")))),
                why=_line(machine_words.told(_(str(body["why"])))),
            )
    return said


def _failing(body: Mapping[str, Any]) -> list[str]:
    """Which check wrote what, as far as people need it to decide."""
    lines: list[str] = []
    for one in list(body.get("failing") or ())[:FAILING_MAX]:
        name, text = _line(str(one.get("check") or "?")), str(one.get("text") or "")
        lines += [f"{name}:", fenced(text)] if text.strip() else []
    return lines


def _tests(ended: SeenEvent) -> list[str]:
    """Which tests ran, how they ended, and why, as far as people need it to decide."""
    lines: list[str] = []
    for said, failing in event_words.tests(ended.body):
        lines += [prose(said), fenced(failing)] if failing.strip() else [prose(said)]
    return lines


def question(asked: SeenEvent, settled: SeenEvent | None) -> str:
    """A question with its choices and time limit, and what became of it.

    :param settled: its answer, its expiry, or the end of its turn
    """
    body = asked.body
    said = prose(str(body.get("text", "")))[:QUESTION_LENGTH_MAX]
    lines: list[str] = [_("Question: {text}", text=said)]
    choices = list(body.get("choices") or ())
    lines += [f"{n}. {_line(str(one))}" for n, one in enumerate(choices[:CHOICES_MAX], 1)]
    if settled is None:
        lines.append(_answer_here(body.get("expires_at")))
    elif settled.kind == "question.answered":
        name = _line(str(settled.body.get("name") or _("somebody")))
        answered = _line(str(settled.body.get("answer", "")))
        lines.append(_("{name} answered: {answer}", name=name, answer=answered))
    elif settled.kind == "question.expired":
        lines.append(_(event_words.NOBODY_ANSWERED))
    else:
        lines.append(_("The turn ended before an answer came."))
    return "\n".join(lines)


def _texts(events: Iterable[SeenEvent], kind: str) -> list[str]:
    return [str(one.body.get("text", "")) for one in events if one.kind == kind]


def _last_words(events: Iterable[SeenEvent]) -> str:
    """What the agent said last, its pieces put together; a tool ends what it said before."""
    said: list[str] = []
    broken = False
    for event in events:
        if event.kind == "text":
            if broken:
                said, broken = [], False
            said.append(str(event.body.get("text", "")))
        elif event.kind in {"tool", "output"}:
            broken = True
    return "".join(said)


def _output(span: Span, *, lines_max: int, length_max: int) -> str:
    whole = "".join(_texts(span.events, "output"))
    shown = tail(settled(whole).strip("\n"), lines_max=lines_max, length_max=length_max)
    cut = next((one.body for one in reversed(span.events) if one.kind == "output.cut"), None)
    if not shown.strip():
        return ""
    left_out = span.output_length > len(whole) or len(shown) < len(settled(whole).strip("\n"))
    lines = []
    if cut is not None:
        where = _line(str(cut.get("where", "?")))
        lines.append(
            _("The end of the output; all of it is in the machine at {where}", where=where)
        )
    elif left_out:
        lines.append(_("The end of the output; all of it is on the session's page."))
    return "\n".join([*lines, fenced(shown)])


def _standing(events: Sequence[SeenEvent]) -> str:
    open_questions = {str(one.body.get("question")) for one in events if one.kind == "question"}
    for one in events:
        if one.kind in {"question.answered", "question.expired"}:
            open_questions.discard(str(one.body.get("question")))
    if open_questions:
        return _("Waiting for an answer.")
    last = events[-1]
    return (
        _step(last)
        if last.kind == "step" and last.body.get("step") != "ready"
        else _working(events)
    )


def _working(events: Sequence[SeenEvent]) -> str:
    """With how long the turn has run when this was told."""
    began = next((one.at for one in events if one.kind == "turn.started"), None)
    now = events[-1].at
    if began is None or now is None or now - began < ELAPSED_SECONDS_MIN:
        return _("Working …")
    return _("Working for {duration} …", duration=duration(now - began))


def _cost(events: Sequence[SeenEvent]) -> str:
    """What models have cost in the turn; "" while that is not known."""
    for one in reversed(events):
        if one.kind == "cost" and isinstance(micro := one.body.get("micro"), int):
            return _("{amount} USD so far.", amount=dollars(micro))
    return ""


def _step(event: SeenEvent) -> str:
    body = event.body
    name, why = _line(str(body.get("step", "?"))), _line(str(body.get("why") or ""))
    place = body.get("place")
    return event_words.step(
        name,
        place=place and _line(str(place)),
        why=why,
        usual_seconds=body.get("usual_seconds"),
        template=body.get("template"),
    )


def _plan(events: Sequence[SeenEvent]) -> str:
    plan = next((one for one in reversed(events) if one.kind == "plan"), None)
    if plan is None:
        return ""
    lines = []
    for entry in list(plan.body.get("entries") or ())[:PLAN_ENTRIES_MAX]:
        known = entry if isinstance(entry, Mapping) else {"content": entry}
        status = _(_line(str(known.get("status") or PENDING)))
        lines.append(f"{status}: {_line(str(known.get('content') or known.get('text') or '?'))}")
    return "\n".join(lines)


def _tools(events: Sequence[SeenEvent]) -> list[str]:
    tools: dict[str, Mapping[str, Any]] = {}
    for one in events:
        if one.kind == "tool":
            key = str(one.body.get("id", one.number))
            tools[key] = {**tools.get(key, {}), **one.body}
    return [
        f"{_(_line(str(tool.get('status', '?'))))}: {_line(str(tool.get('title', '?')))}"
        for tool in list(tools.values())[-LIVE_TOOLS_MAX:]
    ]


def _touched(events: Sequence[SeenEvent]) -> str:
    """The files that tools have changed, the newest last; "" while there is none."""
    touched: dict[str, None] = {}
    for one in events:
        for path in one.body.get("files") or () if one.kind == "tool" else ():
            touched.pop(str(path), None)
            touched[str(path)] = None
    names = [_line(path.rpartition("/")[2]) for path in touched][-TOUCHED_MAX:]
    return (
        ngettext(
            "{count} file touched: {names}",
            "{count} files touched: {names}",
            len(touched),
            names=", ".join(["…"] * (len(touched) > TOUCHED_MAX) + names),
        )
        if touched
        else ""
    )


def _queued(waiting: Sequence[Waiting]) -> str:
    """Whose prompts wait at which places of the queue; "" while none does."""
    if not waiting:
        return ""
    named = [f"{_line(one.name)}, {ordinal(one.place)}" for one in waiting[:WAITING_MAX]]
    return _("Queued: {places}", places="; ".join(named + ["…"] * (len(waiting) > WAITING_MAX)))


def _line(text: str, length_max: int = LINE_LENGTH_MAX) -> str:
    """`text` from outside on one line; it can't begin a block."""
    return prose(short(settled(text), length_max))


def _answer_here(until: object) -> str:
    try:
        at = datetime.fromisoformat(str(until))
    except ValueError:
        return _("Answer in this thread.")
    return _("Answer in this thread until {moment}.", moment=at)
