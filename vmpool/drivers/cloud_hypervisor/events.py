"""The event monitor's stream: pretty-printed JSON objects, one after the other, in a file.

Events are hints. `snapshotted` is written before the files exist and also when the write then
fails, `pausing` also for a refused pause: what a request did is said by its HTTP answer alone.
"""

import json
from collections.abc import Iterator
from pathlib import Path

TAIL_BYTES_MAX = 256 * 1024

REBOOTING = "vm rebooting"
"""Its memory is gone. A guest that was booted here starts anew in the same process; under one that
was resumed the process ends, because the file of its memory is not where it was."""
SHUT_DOWN = "vm shutdown"
PANICKED = "guest panic"


def parse(text: str) -> Iterator[str]:
    """Yield the events of a stream as `<source> <event>`; a cut first or last object is skipped."""
    decoder = json.JSONDecoder()
    place = text.find("{")
    while place >= 0:
        try:
            found, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place = text.find("\n{", place + 1)
            place += 1 if place >= 0 else 0
            continue
        if isinstance(found, dict) and "event" in found:
            yield f"{found.get('source')} {found['event']}"
        place = text.find("{", place)


def read(path: Path) -> list[str]:
    """Read the events of a process, oldest first; those of the last TAIL_BYTES_MAX of its file."""
    return list(parse(_tail(path)))


def why_lost(path: Path) -> str | None:
    """As `rebooted`, of the events in a file; quick, for they are asked around each request."""
    text = _tail(path)
    return rebooted(list(parse(text))) if '"rebooting"' in text else None


def rebooted(events: list[str]) -> str | None:
    """Say that the guest started anew, by itself or because it panicked; None: it did not."""
    if REBOOTING not in events:
        return None
    if PANICKED in events:
        return "the guest's kernel panicked"
    return "the guest rebooted, so what it had in memory is gone"


def farewell(events: list[str]) -> str | None:
    """Say what the guest did that ended its machine; None when it was not the guest."""
    if why := rebooted(events):
        return why
    if SHUT_DOWN in events:
        return "the guest shut itself down"
    return None


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES_MAX))
            return file.read(TAIL_BYTES_MAX).decode(errors="replace")
    except FileNotFoundError:
        return ""
