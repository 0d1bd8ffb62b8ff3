"""From a stored event to the words people read, on pages and in terminals; pure.

An event of a kind that is not known here becomes a plain line: a reader never fails over a writer
that is newer than itself.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bot.words import events
from bot.words.amounts import dollars, duration, prompts, short

Look = Literal[
    "output", "prompt", "answer", "thought", "tool", "note", "question", "end", "nothing"
]
Tone = Literal["plain", "good", "bad", "wait"]
UNKNOWN_LENGTH_MAX = 400
STARTED_LENGTH_MAX = 60
"""Enough to tell which prompt it is, when others were queued meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One event in words."""

    look: Look
    """How it is set: as a terminal's output, somebody's words, a note of ours …"""
    text: str
    who: str = ""
    """Whose words these are."""
    label: str = ""
    """A word that says what a colour or a sign would only hint at."""
    tone: Tone = "plain"
    detail: str = ""
    """Longer preformatted matter, such as a diff."""
    key: str = ""
    """Of the lines of a turn with the same one only the newest is shown, where the first was."""
    picture: str = ""
    """Where a picture that it shows is, below the pages of sessions."""


Body = Mapping[str, Any]

TONES: Mapping[str, Tone] = {
    "succeeded": "good",
    "failed": "bad",
    "stopped": "wait",
    "timed_out": "bad",
    "budget": "bad",
    "interrupted": "bad",
}
"""Of outcomes."""


def line(kind: str, body: Body) -> Line:
    """The words for one event; never fails."""
    make = _KINDS.get(kind)
    if make is not None:
        try:
            return make(body)
        except (TypeError, ValueError, AttributeError):
            pass
    return _unknown(kind, body)


def _text(body: Body, key: str = "text") -> str:
    value = body.get(key)
    return "" if value is None else str(value)


def _took(body: Body) -> str:
    return f" after {duration(float(body['seconds']))}" if body.get("seconds") is not None else ""


def _note(said: str, *, tone: Tone = "plain", label: str = "") -> Line:
    return Line(look="note", text=said, tone=tone, label=label)


def _queued(body: Body) -> Line:
    said = _text(body)
    if body.get("kind") == "command":
        said = f"!{said}"
    return Line(look="prompt", who=_text(body, "name"), text=said)


def _joined(body: Body) -> Line:
    return replace(_queued(body), label="added")


def _cancelled(body: Body) -> Line:
    return _note(f"{_text(body, 'name')} cancelled a queued prompt.")


def _reworded(body: Body) -> Line:
    name, said = _text(body, "name"), _text(body)
    if not said:
        return _note(f"{name} took back a part of a queued prompt.")
    return _note(f"{name} changed a queued prompt: {said}")


def _thread_joined(body: Body) -> Line:
    return _note(f"{_text(body, 'name')} brought a {_text(body, 'surface')} thread into it.")


def _titled(body: Body) -> Line:
    return _note(f"{_text(body, 'name')} called the session “{_text(body, 'title')}”.")


def _held(body: Body) -> Line:
    held = body.get("held") or []
    names = ", ".join(dict.fromkeys(str(one.get("name")) for one in held))
    whose = f" of {names}" if names else ""
    return _note(
        f"{_text(body, 'name')} stopped the queue: {prompts(len(held))}{whose} held until "
        "somebody resumes or clears it.",
        tone="wait",
        label="Held",
    )


def _resumed(body: Body) -> Line:
    return _note(f"{_text(body, 'name')} resumed the queue.")


def _cleared(body: Body) -> Line:
    return _note(f"{_text(body, 'name')} cleared {prompts(int(body.get('count') or 0))}.")


def _step(body: Body) -> Line:
    name, place = _text(body, "step"), body.get("place")
    said = events.step(
        name,
        place=place,
        why=_text(body, "why"),
        took=_took(body),
        usual_seconds=body.get("usual_seconds"),
        template=body.get("template"),
    )
    return _note(said, tone="wait" if name == "waiting" and place else "plain")


def _started(body: Body) -> Line:
    said = short(_text(body), STARTED_LENGTH_MAX)
    return _note(f"The turn for “{said}” has started." if said else "The turn has started.")


def _answer(body: Body) -> Line:
    return Line(look="answer", text=_text(body))


def _thought(body: Body) -> Line:
    return Line(look="thought", text=_text(body), label="Thinking")


def _tool(body: Body) -> Line:
    status = _text(body, "status")
    tone: Tone = "bad" if status == "failed" else "plain"
    return Line(
        look="tool",
        text=_text(body, "title") or "tool",
        label=status,
        tone=tone,
        detail=_text(body, "diff"),
        key=f"tool {_text(body, 'id')}" if body.get("id") else "",
    )


def _output(body: Body) -> Line:
    stream = _text(body, "stream")
    return Line(look="output", text=_text(body), label="stderr" if stream == "stderr" else "")


def _cut(body: Body) -> Line:
    size = int(body.get("bytes") or 0)
    return _note(
        f"{size:,} more bytes are not shown; the machine has them in {_text(body, 'where')}.",
        tone="wait",
        label="Cut",
    )


def _plan(body: Body) -> Line:
    rows = []
    for entry in body.get("entries") or []:
        if isinstance(entry, Mapping):
            said = entry.get("text") or entry.get("content") or ""
            rows.append(f"[{entry.get('status') or 'open'}] {said}")
        else:
            rows.append(str(entry))
    return Line(look="tool", text="Plan", detail="\n".join(rows), key="plan")


def _usage(body: Body) -> Line:
    used = [f"{name.replace('_', ' ')} {value:,}" for name, value in body.items() if value]
    return Line(look="note" if used else "nothing", text=f"Used: {', '.join(used)}", key="usage")


def _nothing(_body: Body) -> Line:
    return Line(look="nothing", text="")


def _cost(body: Body) -> Line:
    return _note(f"Models cost {dollars(int(body.get('micro') or 0))} USD so far.")


def _error(body: Body) -> Line:
    return _note(_text(body), tone="bad", label="Error")


def _question(body: Body) -> Line:
    choices = [str(choice) for choice in body.get("choices") or []]
    offered = f" ({' / '.join(choices)})" if choices else ""
    return Line(look="question", text=_text(body) + offered, label="Question", tone="wait")


def _answered(body: Body) -> Line:
    return Line(
        look="question", who=_text(body, "name"), text=_text(body, "answer"), label="Answer"
    )


def _expired(body: Body) -> Line:
    return _note(events.NOBODY_ANSWERED, tone="wait")


def _ended(body: Body) -> Line:
    outcome = _text(body, "outcome")
    label = events.OUTCOMES.get(outcome, outcome or "Ended")
    summary = _text(body, "summary")
    if summary.casefold() == label.casefold():
        summary = ""
    took = "" if summary.endswith(" s") else _took(body)
    paid = f", {dollars(int(body['cost_micro']))} USD" if body.get("cost_micro") else ""
    tests = events.tests(body)
    return Line(
        look="end",
        text="\n".join(filter(None, [summary, *(said for said, _why in tests)])),
        label=label + took + paid,
        tone=TONES.get(outcome, "plain"),
        detail="\n".join(f"{said}\n{why}" for said, why in tests if why),
    )


def _delivered(body: Body) -> Line:
    return _note(events.delivered(body), tone="good", label="Delivered")


def _undelivered(body: Body) -> Line:
    return _note(_text(body), tone="wait", label="Not delivered")


def _notice(body: Body) -> Line:
    return _note(_text(body))


def _undone(body: Body) -> Line:
    return _note(_text(body), label="Taken back")


def _ci(body: Body) -> Line:
    good = _text(body, "state") == "green"
    failing = [one for one in body.get("failing") or [] if one.get("text")]
    said = "\n".join(f"{one.get('check')}:\n{one.get('text')}" for one in failing)
    note = _note(_text(body), tone="good" if good else "bad", label="Checks")
    return replace(note, detail=said)


def _machine(body: Body) -> Line:
    state = _text(body, "state")
    why = f": {_text(body, 'why')}" if body.get("why") else ""
    tone: Tone = "bad" if state == "lost" else "plain"
    took = f" ({duration(float(body['seconds']))})" if body.get("seconds") is not None else ""
    return _note(
        f"{events.MACHINE_STATES.get(state, f'The machine is {state}')}{took}{why}.", tone=tone
    )


def _update(body: Body) -> Line:
    return _note(_text(body), label="Update")


def _picture(body: Body) -> Line:
    place = f"{_text(body, 'session')}/pictures/{_text(body, 'picture')}"
    return replace(_note(_text(body), label="Picture"), picture=place)


def _child(body: Body) -> Line:
    return _note(f"The agent started session {_text(body, 'session')}: {_text(body)}")


def _called(body: Body) -> Line:
    tool, refused = _text(body, "tool") or "a tool", body.get("outcome") == "refused"
    why = f" and was refused: {_text(body, 'why')}" if refused else ""
    return _note(f"The agent called {tool} of ona{why}.", tone="wait" if refused else "plain")


def _unknown(kind: str, body: Body) -> Line:
    said = json.dumps(dict(body), ensure_ascii=False, default=str)
    if len(said) > UNKNOWN_LENGTH_MAX:
        said = said[:UNKNOWN_LENGTH_MAX] + "…"
    return _note(f"{kind} {said}")


_KINDS: Mapping[str, Callable[[Body], Line]] = {
    "prompt.queued": _queued,
    "prompt.joined": _joined,
    "prompt.cancelled": _cancelled,
    "prompt.reworded": _reworded,
    "thread.joined": _thread_joined,
    "session.titled": _titled,
    "session.held": _held,
    "session.resumed": _resumed,
    "session.cleared": _cleared,
    "step": _step,
    "turn.started": _started,
    "text": _answer,
    "thought": _thought,
    "tool": _tool,
    "output": _output,
    "output.cut": _cut,
    "plan": _plan,
    "usage": _usage,
    "conversation": _nothing,
    "cost": _cost,
    "error": _error,
    "question": _question,
    "question.answered": _answered,
    "question.expired": _expired,
    "turn.ended": _ended,
    "delivered": _delivered,
    "undelivered": _undelivered,
    "notice": _notice,
    "undone": _undone,
    "ci": _ci,
    "machine": _machine,
    "update": _update,
    "picture": _picture,
    "child.started": _child,
    "tool.called": _called,
}
KNOWN_KINDS = frozenset(_KINDS)
