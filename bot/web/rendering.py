"""Fills the templates; everything that comes from outside is escaped there, by default.

Lines of a session are made here once, for the page and for the live stream alike, so that a page
that was loaded later shows the same as one that watched.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from bot.conversation.run_words import STATUSES as RUN_STATUSES
from bot.web import lines
from bot.web.lines import Line
from bot.web.reading import StoredEvent
from bot.web.visitor import Visitor
from bot.words.amounts import duration, prompts
from bot.words.listening import STATES as SURFACE_STATES
from bot.words.plain import Plain, plain
from bot.words.sentences import sentence
from bot.words.templates import times, turn

HERE = Path(__file__).parent
CHANGED = "onachanged"
"""Tells the page that its side panel and lists are out of date."""

SESSION_STATES: Mapping[str, str] = {
    "idle": "Idle",
    "queued": "Queued",
    "running": "Running",
    "waiting": "Waiting for an answer",
    "held": "Held",
    "deleting": "Being deleted",
}
MACHINE_STATES: Mapping[str, str] = {
    "creating": "being created",
    "starting": "starting",
    "running": "running",
    "paused": "hot",
    "hibernating": "going to rest",
    "resting": "hibernated",
    "lost": "lost",
    "removing": "being removed",
    "gone": "removed",
}


SPEECHES = frozenset({"answer", "thought"})
"""Looks of what comes in many pieces that are one text."""
# Pictures would tell their servers who reads; what HTML is in it stays text.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_MARKDOWN.disable("image")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One event as it is shown."""

    number: int
    kind: str
    at: datetime
    line: Line
    turn: str = ""

    @property
    def key(self) -> str:
        """Of what takes the place of an earlier line; empty: it has one of its own."""
        return f"{self.turn} {self.line.key}" if self.line.key else ""


@dataclass(kw_only=True)
class Speech:
    """What an agent says or thinks in a row, in as many pieces as it came."""

    look: str
    label: str
    turn: str
    first: int
    """Number of its first event."""
    at: datetime
    pieces: list[Shown]

    @property
    def number(self) -> int:
        """Of its last event."""
        return self.pieces[-1].number

    @property
    def html(self) -> Markup:
        """Its words, which are Markdown."""
        return Markup(_MARKDOWN.render("".join(one.line.text for one in self.pieces)))

    def goes_on(self, one: Shown) -> bool:
        """Whether the next event is a piece of it."""
        return (one.line.look, one.turn) == (self.look, self.turn)


def begun(one: Shown) -> Speech:
    """What begins with an event."""
    return Speech(
        look=one.line.look,
        label=one.line.label,
        turn=one.turn,
        first=one.number,
        at=one.at,
        pieces=[one],
    )


class Shower:
    """Makes lines from events in their order; knows how the output before them ended."""

    def __init__(self, before: Iterable[StoredEvent] = ()) -> None:
        """`before` are the last events that the reader has already."""
        self._streams: dict[str, Plain] = {}
        self._speech: Speech | None = None
        for event in before:
            self.live(event)

    def live(self, event: StoredEvent) -> Sequence[tuple[str, Any]]:
        """The next event for who watches: templates, and what they are filled with.

        Pieces of a speech come as they are; when it has ended it comes again, as a whole.
        """
        one = self.show(event)
        ended: list[tuple[str, Any]] = []
        if self._speech is not None and self._speech.goes_on(one):
            self._speech.pieces.append(one)
            return [("_piece.html", one)]
        if self._speech is not None:
            ended, self._speech = [("_speech.html", self._speech)], None
        if one.line.look in SPEECHES:
            self._speech = begun(one)
            return [*ended, ("_begun.html", self._speech)]
        return ended if one.line.look == "nothing" else [*ended, ("_line.html", one)]

    def show(self, event: StoredEvent) -> Shown:
        """The next event."""
        line = lines.line(event.kind, event.body)
        if line.look == "output":
            stream = self._streams.setdefault(str(event.body.get("stream")), Plain())
            line = replace(line, text=stream.feed(line.text))
        else:
            self._streams.clear()
            line = replace(
                line,
                text=plain(line.text),
                who=plain(line.who),
                label=plain(line.label),
                detail=plain(line.detail),
            )
        turn = str(event.turn or "")
        return Shown(number=event.number, kind=event.kind, at=event.at, line=line, turn=turn)


def moment(at: datetime | None) -> str:
    """A time for people whose zone we don't know; the page's script shows it in theirs."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def exact(at: datetime | None) -> str:
    """A time for programs."""
    return "" if at is None else at.astimezone(UTC).isoformat()


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals.update(
    session_states=SESSION_STATES,
    machine_states=MACHINE_STATES,
    surface_states=SURFACE_STATES,
    run_statuses=RUN_STATUSES,
    changed=CHANGED,
)
_environment.filters.update(
    moment=moment,
    exact=exact,
    seconds=duration,
    plain=plain,
    prompts=prompts,
    sentence=sentence,
    times_failed=times,
    turn=turn,
)


def fragment(template: str, **context: Any) -> str:
    """Part of a page."""
    return _environment.get_template(template).render(**context)


def page(
    template: str,
    visitor: Visitor | None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """A page, or part of one that holds forms."""
    csrf = visitor.csrf if visitor is not None else ""
    body = fragment(template, visitor=visitor, csrf=csrf, **context)
    return HTMLResponse(body, status_code=status, headers=dict(headers or {}))


def by_htmx(request: Request) -> bool:
    """Whether the page's script asks for a part and not a browser for a page."""
    return request.headers.get("hx-request") == "true"


def told(request: Request, text: str, *, back: str, tone: str = "good") -> Response:
    """Say what was done: as a part for the script, else by showing the page again."""
    if not by_htmx(request):
        return RedirectResponse(back, status_code=303)
    return HTMLResponse(
        fragment("_told.html", text=text, tone=tone), headers={"HX-Trigger": CHANGED}
    )


def show_all(events: Iterable[StoredEvent], before: Iterable[StoredEvent] = ()) -> list[Any]:
    """The lines of events in a row, neighbouring output and speech put together.

    :return: lists of output lines, speeches and single other lines
    """
    shower = Shower(before)
    shown: list[Any] = []
    places: dict[str, int] = {}
    for event in events:
        one = shower.show(event)
        last = shown[-1] if shown else None
        if one.line.look == "nothing":
            continue
        if one.line.look == "output" and isinstance(last, list):
            last.append(one)
        elif isinstance(last, Speech) and last.goes_on(one):
            last.pieces.append(one)
        elif one.key in places:
            shown[places[one.key]] = one
        else:
            if one.key:
                places[one.key] = len(shown)
            shown.append(_first(one))
    return shown


def _first(one: Shown) -> Any:
    if one.line.look == "output":
        return [one]
    return begun(one) if one.line.look in SPEECHES else one
