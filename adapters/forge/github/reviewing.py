"""A review with what it says at lines of code, as one text; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.forge.asking import cut

STATES = {
    "changes_requested": "Review of the pull request, which asks for changes",
    "commented": "Review of the pull request",
    "approved": "Review of the pull request, which approves it",
}
"""Of those that count."""


def reviewed(state: str, body: str, comments: Sequence[Mapping[str, Any]]) -> str:
    """What a review says; "" when that is nothing to be done.

    :param state: as the API has it, in any letter case
    :param comments: those at lines of code, as the API has them; answers to others don't count
    """
    begins = STATES.get(state.lower())
    lines = [_line(one) for one in comments if not one.get("in_reply_to_id") and one["body"]]
    if begins is None or not (lines or (body.strip() and state.lower() != "approved")):
        return ""
    return cut("\n\n".join(part for part in (f"{begins}:", body.strip(), *lines) if part))


def _line(comment: Mapping[str, Any]) -> str:
    number = comment.get("line") or comment.get("original_line")
    where = f"`{comment['path']}`" + (f", line {number}" if number else "")
    return f"{where}: {str(comment['body']).strip()}"
