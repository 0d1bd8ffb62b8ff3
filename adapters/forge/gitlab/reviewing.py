"""What a thread of a merge request's review says, as one text; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.forge.asking import cut

BEGINS = "Review of the merge request"


def reviewed(note_id: int, notes: Sequence[Mapping[str, Any]]) -> str:
    """What a note says that begins a thread; "" for one that only answers in it.

    :param notes: those of the thread, as the API has them
    """
    if not notes or int(notes[0]["id"]) != note_id:
        return ""
    said = str(notes[0]["body"]).strip()
    if not said:
        return ""
    where = _where(notes[0].get("position") or {})
    return cut(f"{BEGINS}{where}:\n\n{said}")


def _where(position: Mapping[str, Any]) -> str:
    """At what it is; "" where that is nothing in particular."""
    path = position.get("new_path") or position.get("old_path")
    if not path:
        return ""
    if position.get("new_line"):
        return f", `{path}`, line {position['new_line']}"
    if position.get("old_line"):
        return f", `{position.get('old_path') or path}`, line {position['old_line']} as it was"
    return f", `{path}`"
