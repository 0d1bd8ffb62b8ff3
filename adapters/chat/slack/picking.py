"""A form in which somebody chooses a moment for a button that wants one; pure.

    button pressed ─▶ `view`: Slack's date picker, and a line for words ─▶ sent ─▶ `chosen`

The form carries what the button says and where it stands: nothing is kept between the two.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.chat.port import MOMENT

CALLBACK = "ona.pick"
SUFFIX = ".pick"
"""What the action ids of such buttons end with."""
PICKER, WORDS = "ona.at", "ona.words"
"""Blocks of the form, and the one action in each."""
TITLE_LENGTH_MAX = 24
WORDS_LENGTH_MAX = 200
TITLE = "When?"
DATE = "Date and time"
OR_WORDS = "Or in words, such as friday 16:00"
SEND = "OK"
CANCEL = "Cancel"
NEITHER = "Choose a time, or say it in words."
OF_FORM = (TITLE, DATE, OR_WORDS, SEND, CANCEL, NEITHER)
"""What the form says; whoever makes a listener may say it in other languages."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """The button that the form is for."""

    says: str
    channel: str
    thread: str
    """Timestamp of what the thread stands under."""


def is_pick(action: Mapping[str, Any]) -> bool:
    """Whether a pressed button wants a moment."""
    return str(action.get("action_id") or "").endswith(SUFFIX)


def where(body: Mapping[str, Any]) -> Where | None:
    """Which button was pressed; None: it stands in no conversation."""
    container, message = body.get("container") or {}, body.get("message") or {}
    channel = (body.get("channel") or {}).get("id")
    ts = container.get("message_ts") or message.get("ts")
    if not channel or not ts:
        return None
    thread = container.get("thread_ts") or message.get("thread_ts") or ts
    return Where(says=str(body["actions"][0].get("value") or ""), channel=channel, thread=thread)


def view(at: Where, words: Mapping[str, str]) -> dict[str, Any]:
    """The form, as `views.open` takes it.

    :param words: by each of `OF_FORM`, the same for who reads it
    """
    picker = {"type": "datetimepicker", "action_id": PICKER}
    line = {"type": "plain_text_input", "action_id": WORDS, "max_length": WORDS_LENGTH_MAX}
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": json.dumps(asdict(at)),
        "title": _text(words[TITLE][:TITLE_LENGTH_MAX]),
        "submit": _text(words[SEND]),
        "close": _text(words[CANCEL]),
        "blocks": [_input(PICKER, words[DATE], picker), _input(WORDS, words[OR_WORDS], line)],
    }


def chosen(view: Mapping[str, Any]) -> tuple[Where, str] | None:
    """Which button a sent form was for, and what it says then; None: nothing was chosen."""
    values = (view.get("state") or {}).get("values") or {}
    seconds = _value(values, PICKER, "selected_date_time")
    said = str(_value(values, WORDS, "value") or "").strip()
    if seconds:
        said = f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M} UTC"
    if not said:
        return None
    at = Where(**json.loads(view["private_metadata"]))
    return at, at.says.replace(MOMENT, " ".join(said.split()))


def _value(values: Mapping[str, Any], block: str, name: str) -> Any:
    # The one action of a block is called as the block is.
    return ((values.get(block) or {}).get(block) or {}).get(name)


def _input(block: str, label: str, element: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "input",
        "block_id": block,
        "optional": True,
        "label": _text(label),
        "element": dict(element),
    }


def _text(words: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": words, "emoji": False}
