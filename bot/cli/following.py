"""Follows a session's events to a terminal, and one turn to its outcome."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bot.cli.client import Client, Unreachable
from bot.cli.show import status
from bot.web.lines import Line, line
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
        elif kind in {"text", "output"} and self._length < REPLY_LENGTH_MAX:
            text = str(body.get("text") or "")
            self._length += len(text)
            (self.said if kind == "text" else self.output).append(text)
        elif kind in {"error", "notice", "output.cut"}:
            self.notes.append(line(kind, body).text)

    @property
    def reply(self) -> str:
        """What the agent said; for a command that says nothing, its output."""
        return plain("".join(self.said or self.output)).strip("\n")


class Printer:
    """Prints events: what the agent says and puts out on stdout, all else on stderr."""

    def __init__(self) -> None:
        """Nothing is printed yet."""
        self._plain = Plain()
        self._in_line = False

    def show(self, event: dict[str, Any]) -> None:
        """Print one event."""
        made = line(event["kind"], event["body"])
        if made.look == "output":
            self._write(self._plain.feed(made.text))
            return
        self._plain = Plain()
        if self._in_line:
            self._write("\n")
        if made.look == "answer":
            self._write(plain(made.text).rstrip("\n") + "\n")
            return
        status(_words(made))

    def _write(self, text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._in_line = not text.endswith("\n")


def _words(made: Line) -> str:
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
            with client.stream(f"/sessions/{session}/events", after=after) as lines:
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
