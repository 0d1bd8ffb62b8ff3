"""Slack's markup: what a message says as people read it, and posts in which nothing means anything.

A post is blocks of rich text, whose text elements show as they are: no markup, no link, no
mention. The text beside them is what a notification and a screen reader say; there `&`, `<` and
`>` are escaped, as docs.slack.dev asks for ("Formatting message text").
"""

import re
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from typing import Any

from adapters.chat.port import LABEL_LENGTH_MAX, Button, Content, Entry, Part

ACTION = "ona.say"
"""What the ids of our buttons begin with."""
SAYS_LENGTH_MAX = 2_000
"""Of a button's value."""
HOME_BLOCKS_MAX = 100
TITLE_LENGTH_MAX = 150
SECTION_LENGTH_MAX = 3_000

_ESCAPES: Mapping[str, str] = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL = re.compile(r"[&<>]")
_FENCE = re.compile(r"^```$", re.MULTILINE)
_LEADING = re.compile(r"^```", re.MULTILINE)
_TOKEN = re.compile(r"<([@#!])?([^<>|]*)(?:\|([^<>]*))?>")


def escape(text: str, *, code: bool) -> str:
    """See `ChatPort.escape`; a line that could be a fence gets a space that has no width."""
    escaped = _SPECIAL.sub(lambda found: _ESCAPES[found.group()], text)
    return _LEADING.sub("\u200b```", escaped)


def mentions(text: str) -> list[str]:
    """The ids of the people whom a message mentions, in order."""
    return [found.group(2) for found in _TOKEN.finditer(text) if found.group(1) == "@"]


def plain(text: str, name_of: Callable[[str], str]) -> str:
    """What a message says as people read it; links as their address.

    :param name_of: the name of the person with an id
    """

    def shown(found: re.Match[str]) -> str:
        kind, what, label = found.groups()
        if kind == "@":
            return f"@{name_of(what)}"
        if kind == "#":
            return f"#{label or what}"
        if kind == "!":
            return label or f"@{what.partition('^')[0]}"
        return what.removeprefix("mailto:") if what.startswith("mailto:") else what

    return unescape(_TOKEN.sub(shown, text))


def without_mention(text: str, user: str) -> str:
    """`text` without a mention of `user` where it begins."""
    return re.sub(rf"^\s*<@{re.escape(user)}(?:\|[^<>]*)?>[:,]?\s*", "", text)


def blocks(content: Content) -> list[dict[str, Any]]:
    """The blocks of a post: its text as it is, and its buttons."""
    made: list[dict[str, Any]] = [{"type": "rich_text", "elements": _rich(content)}]
    # One whose words don't fit would say something else.
    fitting = [one for one in content.buttons if len(one.says) <= SAYS_LENGTH_MAX]
    if fitting:
        elements = [_button(number, one) for number, one in enumerate(fitting)]
        made.append({"type": "actions", "elements": elements})
    return made


def fallback(content: Content) -> str:
    """What a notification and a screen reader say."""
    return f"<@{content.notify}> {content.text}" if content.notify else content.text


def home(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The blocks of an App Home: plain text, in which nothing means anything."""
    made: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        made.append({"type": "header", "text": _plain_text(part.title, TITLE_LENGTH_MAX)})
        for place, entry in enumerate(part.entries):
            made.append(_entry(f"{number}.{place}", entry))
            if entry.buttons:
                elements = [_button(n, one) for n, one in enumerate(entry.buttons)]
                made.append({"type": "actions", "elements": elements})
    return made[:HOME_BLOCKS_MAX]


def _entry(name: str, entry: Entry) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "section",
        "text": _plain_text(entry.text, SECTION_LENGTH_MAX),
    }
    if entry.url:
        made["accessory"] = {
            "type": "button",
            "text": _plain_text(entry.label, LABEL_LENGTH_MAX),
            "action_id": f"{ACTION}.{name}",
            "url": entry.url,
        }
    return made


def _plain_text(text: str, length_max: int) -> dict[str, Any]:
    cut = text if len(text) <= length_max else text[: length_max - 1] + "…"
    return {"type": "plain_text", "text": cut or " ", "emoji": False}


def _rich(content: Content) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if content.notify:
        told = [{"type": "user", "user_id": content.notify}, {"type": "text", "text": " "}]
        parts.append({"type": "rich_text_section", "elements": told})
    for number, piece in enumerate(_FENCE.split(content.text)):
        # In an element of its own a fence means nothing.
        text = unescape(piece.strip("\n")).replace("\u200b```", "```")
        if not text:
            continue
        kind = "rich_text_preformatted" if number % 2 else "rich_text_section"
        element = {"type": "text", "text": text}
        if kind == "rich_text_section" and parts and parts[-1]["type"] == kind:
            parts[-1]["elements"].append(element)
        else:
            parts.append({"type": kind, "elements": [element]})
    return parts or [{"type": "rich_text_section", "elements": [{"type": "text", "text": " "}]}]


def _button(number: int, button: Button) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "button",
        "text": {"type": "plain_text", "text": button.label, "emoji": False},
        "action_id": f"{ACTION}.{number}",
    }
    if button.url:
        made["url"] = button.url
    else:
        made["value"] = button.says
    return made
