"""Follows a session's events to a terminal, and one turn to its outcome."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

from bot.cli.client import Client, Unreachable, at
from bot.cli.show import status
from bot.cli.typed import typed
from bot.web.lines import Line, line
from bot.words.events import tests
from bot.words.plain import Plain, plain

AWAY_SECONDS_MAX = 300.0
RETRY_SECONDS = 1.0
PAUSE_SECONDS = 0.1
REPLY_LENGTH_MAX = 1_000_000


@dataclass(kw_only=True)
class Watch:
    """What became of one prompt, learned from events; pure."""

    prompt: str | None
    """None: whatever turn ends next, such as the one that a question belonged to."""
    turn: str | None = None
    outcome: str | None = None
    summary: str = ""
    seconds: float | None = None
    said: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What we said about it: errors, what was cut, what was restored."""
    _length: int = 0
    _broken: bool = False
    """A tool was used since the last words: what comes now is said anew."""

    def take(self, event: dict[str, Any]) -> bool:
        """Learn from the next event; whether it concerns this prompt."""
        kind, body = event["kind"], event["body"]
        if kind == "turn.started" and body.get("prompt") == self.prompt:
            self.turn = event["turn"]
        if kind == "prompt.cancelled" and body.get("prompt") == self.prompt:
            self.outcome = "cancelled"
            self.summary = f"{body.get('name')} cancelled the prompt before its turn"
            return True
        if event["turn"] is None:
            return not kind.startswith("prompt.")
        if self.prompt is None and self.turn is None:
            self.turn = event["turn"]
        if event["turn"] != self.turn:
            return False
        self._learn(kind, body)
        return True

    def _learn(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "turn.ended":
            self.outcome = str(body.get("outcome"))
            self.summary = str(body.get("summary") or "")
            self.seconds = body.get("seconds")
            self.notes += ["\n".join(filter(None, one)) for one in tests(body)]
        elif kind in {"text", "output"} and self._length < REPLY_LENGTH_MAX:
            text = str(body.get("text") or "")
            self._length += len(text)
            if kind == "text" and self._broken:
                self.said.clear()
            self._broken = kind != "text"
            (self.said if kind == "text" else self.output).append(text)
        elif kind == "tool":
            self._broken = True
        elif kind in {"error", "notice", "output.cut"}:
            said = line(kind, body).text
            self.notes.append(typed(said) if kind == "notice" else said)

    @property
    def reply(self) -> str:
        """What the agent said last; for a command that says nothing, its output."""
        return plain("".join(self.said or self.output)).strip("\n")


class Printer:
    """Prints events: what the agent says and puts out on stdout, all else on stderr."""

    def __init__(self) -> None:
        """Nothing is printed yet."""
        self._plain = Plain()
        self._open: TextIO | None = None
        """Where a line has begun and not ended."""
        self._look = ""
        self._shown: dict[str, Line] = {}
        """What is shown once and goes on, such as a tool, by its key."""

    def show(self, event: dict[str, Any]) -> None:
        """Print one event."""
        made = line(event["kind"], event["body"])
        if made.look == "nothing" or self._is_known(made):
            return
        if made.look != self._look:
            self._end_line()
        self._look = made.look
        if made.look == "output":
            self._write(sys.stdout, self._plain.feed(made.text))
            return
        self._plain = Plain()
        if made.look in {"answer", "thought"}:
            stream = sys.stdout if made.look == "answer" else sys.stderr
            self._write(stream, plain(made.text))
        else:
            words = _words(made)
            status(typed(words) if event["kind"] == "notice" else words)

    def _is_known(self, made: Line) -> bool:
        """Whether the same stands there already but for how far it is; failures are new."""
        before = self._shown.get(made.key)
        if made.key:
            self._shown[made.key] = made
        said_before = before is not None and before.text == made.text
        return said_before and made.tone != "bad"

    def _end_line(self) -> None:
        if self._open is not None:
            self._write(self._open, "\n")

    def _write(self, stream: TextIO, text: str) -> None:
        if text:
            stream.write(text)
            stream.flush()
            self._open = None if text.endswith("\n") else stream


def _words(made: Line) -> str:
    if made.look == "tool" and made.tone != "bad" and not made.detail:
        return f"> {made.text}"
    head = f"{made.who}: " if made.who else ""
    label = f"{made.label}: " if made.label and made.text else made.label
    detail = f"\n{made.detail}" if made.detail else ""
    return f"{label}{head}{made.text}{detail}"


def events(client: Client, session: str, after: int) -> Iterator[dict[str, Any]]:
    """The events after a number, live, through lost connections.

    :raises Unreachable: the service was away for too long
    """
    lost_at: float | None = None
    while True:
        try:
            with client.stream(at("/sessions/{}/events", session), after=after) as lines:
                for text in lines:
                    lost_at = None
                    if text.startswith("data: "):
                        event = json.loads(text[6:])
                        after = event["number"]
                        yield event
            # Streams end now and then, so that the service looks again who reads.
            time.sleep(PAUSE_SECONDS)
        except ConnectionError:
            if lost_at is None:
                lost_at = time.monotonic()
                status("The connection is lost; trying again …")
            if time.monotonic() - lost_at > AWAY_SECONDS_MAX:
                raise Unreachable(
                    f"ona did not answer for {AWAY_SECONDS_MAX:.0f} s",
                    kept="the turn goes on by itself",
                    do=f"follow it with `ona sessions follow {session}` later",
                ) from None
            time.sleep(RETRY_SECONDS)
