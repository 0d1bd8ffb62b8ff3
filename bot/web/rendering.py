"""Fills the templates; everything that comes from outside is escaped there, by default.

Lines of a session are made here once, for the page and for the live stream alike, so that a page
that was loaded later shows the same as one that watched.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bot.web import lines
from bot.web.lines import Line
from bot.web.reading import StoredEvent
from bot.web.visitor import Visitor
from bot.words.amounts import duration, prompts
from bot.words.listening import STATES as SURFACE_STATES
from bot.words.plain import Plain, plain
from bot.words.sentences import sentence

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


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One event as it is shown."""

    number: int
    kind: str
    at: datetime
    line: Line


class Shower:
    """Makes lines from events in their order; knows how the output before them ended."""

    def __init__(self, before: Iterable[StoredEvent] = ()) -> None:
        """`before` are the last events that the reader has already."""
        self._streams: dict[str, Plain] = {}
        for event in before:
            self.show(event)

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
        return Shown(number=event.number, kind=event.kind, at=event.at, line=line)


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
    changed=CHANGED,
)
_environment.filters.update(
    moment=moment,
    exact=exact,
    seconds=duration,
    plain=plain,
    prompts=prompts,
    sentence=sentence,
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
    """The lines of events in a row, neighbouring output put together.

    :return: lists of output lines and single other lines
    """
    shower = Shower(before)
    shown: list[Any] = []
    for event in events:
        one = shower.show(event)
        if one.line.look != "output":
            shown.append(one)
        elif shown and isinstance(shown[-1], list):
            shown[-1].append(one)
        else:
            shown.append([one])
    return shown
