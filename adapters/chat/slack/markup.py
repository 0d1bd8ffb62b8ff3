"""Slack's markup: what a message says as people read it, and posts in which nothing means anything.

A post is blocks of rich text, whose text elements show as they are: no markup, no link, no
mention. The text beside them is what a notification and a screen reader say; there `&`, `<` and
`>` are escaped, as docs.slack.dev asks for ("Formatting message text").
"""

import re
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from typing import Any

from adapters.chat.moments import WRITTEN, seconds_of, with_tokens
from adapters.chat.port import LABEL_LENGTH_MAX, Button, Content, Entry, Menu, Part, notified
from adapters.chat.slack.picking import SUFFIX

ACTION = "ona.say"
"""What the ids of our buttons begin with."""
MENU = f"{ACTION}.menu."
"""What the ids of our menus begin with, before their names."""
OPTIONS_MAX = 100
OPTION_LENGTH_MAX = 75
SAYS_LENGTH_MAX = 2_000
"""Of a button's value."""
HOME_BLOCKS_MAX = 100
TITLE_LENGTH_MAX = 150
SECTION_LENGTH_MAX = 3_000

DATE_FORMAT = "{date_num} {time}"
"""How a moment is shown, in the zone and with the clock of whoever reads it."""

_ESCAPES: Mapping[str, str] = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL = re.compile(r"[&<>]")
_STYLES: Mapping[str, str] = {
    "\ue001": "bold",
    "\ue002": "italic",
    "\ue003": "strike",
    "\ue004": "code",
}
"""Signs that turn a style on and off, in texts on their way to blocks; they stand for nothing, and
`escape` lets none through."""
_LINK, _LABEL, _LINKED = "\ue005", "\ue006", "\ue007"
_OURS = re.compile("[\ue001-\ue007]")
_SIGN = re.compile(f"([\ue001-\ue004]|{_LINK}[^{_LABEL}]*{_LABEL}[^{_LINKED}]*{_LINKED})")
_FENCE = re.compile(r"^```$", re.MULTILINE)
_LEADING = re.compile(r"^```", re.MULTILINE)
_TOKEN = re.compile(r"<([@#!])?([^<>|]*)(?:\|([^<>]*))?>")
_MANY = frozenset({"subteam", "here", "channel", "everyone"})


def escape(text: str, *, code: bool) -> str:
    """See `ChatPort.escape`; a line that could be a fence gets a space that has no width."""
    escaped = _SPECIAL.sub(lambda found: _ESCAPES[found.group()], _OURS.sub("\ufffd", text))
    return _LEADING.sub("\u200b```", escaped)


class Signs:
    """Slack's rich text has styles and no signs for them: ours go as far as `blocks`."""

    def strong(self, inner: str) -> str:
        """See `adapters.chat.dialect.Dialect`."""
        return f"\ue001{inner}\ue001"

    def emphasis(self, inner: str) -> str:
        """See `Dialect`."""
        return f"\ue002{inner}\ue002"

    def struck(self, inner: str) -> str:
        """See `Dialect`."""
        return f"\ue003{inner}\ue003"

    def code(self, text: str) -> str:
        """See `Dialect`."""
        return f"\ue004{escape(text, code=False)}\ue004"

    def link(self, inner: str, url: str) -> str:
        """See `Dialect`."""
        return f"{_LINK}{escape(url, code=False)}{_LABEL}{inner}{_LINKED}"

    def heading(self, inner: str, level: int) -> str:
        """See `Dialect`; there are none in a post."""
        return self.strong(inner)

    def item(self, marker: str, inner: str) -> str:
        """See `Dialect`."""
        first, *more = inner.split("\n")
        return "\n".join([f"{marker or '•'} {first}", *(f"    {line}" for line in more)])

    def quote(self, inner: str) -> str:
        """See `Dialect`."""
        return "\n".join(f"│ {line}" for line in inner.split("\n"))


def mentions(text: str) -> list[str]:
    """The ids of the people whom a message mentions, in order."""
    return [found.group(2) for found in _TOKEN.finditer(text) if found.group(1) == "@"]


def mentions_many(text: str) -> bool:
    """Whether a message mentions a group of people, or all of a channel."""
    signs = (found.group(2) for found in _TOKEN.finditer(text) if found.group(1) == "!")
    return any(sign.partition("^")[0] in _MANY for sign in signs)


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


def blocks(content: Content, *, file: str | None = None) -> list[dict[str, Any]]:
    """The blocks of a post: its text as it is, its picture, and its buttons.

    :param file: Slack's id of the picture
    """
    made: list[dict[str, Any]] = [{"type": "rich_text", "elements": _rich(content)}]
    if file is not None and content.picture is not None:
        shown = {"type": "image", "slack_file": {"id": file}, "alt_text": content.picture.about}
        made.append(shown)
    # One whose words don't fit would say something else.
    fitting = [one for one in content.buttons if len(one.says) <= SAYS_LENGTH_MAX]
    if fitting:
        elements = [_button(number, one) for number, one in enumerate(fitting)]
        made.append({"type": "actions", "elements": elements})
    return made


def fallback(content: Content) -> str:
    """What a notification and a screen reader say."""
    plain = _SIGN.sub(lambda found: _label(found.group()), content.text)
    pieces = _FENCE.split(plain)
    # In a block a token would be no code any more.
    pieces[::2] = [with_tokens(piece, _date_token, WRITTEN) for piece in pieces[::2]]
    said = "```".join(pieces)
    told = "".join(f"<@{one}> " for one in notified(content))
    return f"{told}{said}"


def home(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The blocks of an App Home: plain text, in which nothing means anything."""
    made: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        made.append({"type": "header", "text": _plain_text(part.title, TITLE_LENGTH_MAX)})
        for place, entry in enumerate(part.entries):
            made.append(_entry(f"{number}.{place}", entry))
            elements = [_button(n, one) for n, one in enumerate(entry.buttons)]
            elements += [_menu(entry.menu)] if entry.menu is not None else []
            if elements:
                made.append({"type": "actions", "elements": elements})
    return made[:HOME_BLOCKS_MAX]


def _menu(menu: Menu) -> dict[str, Any]:
    return {
        "type": "external_select",
        "action_id": f"{MENU}{menu.name}",
        "placeholder": _plain_text(menu.label, LABEL_LENGTH_MAX),
        "min_query_length": 1,
    }


def options(found: Sequence[str]) -> list[dict[str, Any]]:
    """What a menu offers to who types in it, as an acknowledgement has it."""
    fitting = [one for one in found if len(one) <= OPTION_LENGTH_MAX][:OPTIONS_MAX]
    return [{"text": _plain_text(one, OPTION_LENGTH_MAX), "value": one} for one in fitting]


def chosen(action: Mapping[str, Any]) -> str:
    """What a pressed button, or a choice from a menu, says."""
    name = str(action.get("action_id") or "")
    if not name.startswith(MENU):
        return str(action.get("value") or "")
    option = action.get("selected_option") or {}
    return f"{name.removeprefix(MENU)} {option.get('value') or ''}".strip()


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
        told = [
            element
            for one in notified(content)
            for element in ({"type": "user", "user_id": one}, {"type": "text", "text": " "})
        ]
        parts.append({"type": "rich_text_section", "elements": told})
    for number, piece in enumerate(_FENCE.split(content.text)):
        # In an element of its own a fence means nothing.
        text = unescape(piece.strip("\n")).replace("\u200b```", "```")
        if not text:
            continue
        kind = "rich_text_preformatted" if number % 2 else "rich_text_section"
        elements = _elements(text, dated=kind == "rich_text_section")
        if kind == "rich_text_section" and parts and parts[-1]["type"] == kind:
            parts[-1]["elements"] += elements
        else:
            parts.append({"type": kind, "elements": elements})
    return parts or [{"type": "rich_text_section", "elements": [{"type": "text", "text": " "}]}]


def _elements(text: str, *, dated: bool) -> list[dict[str, Any]]:
    """Stretches of a section, each with the styles that are on there.

    :param dated: moments are shown as such, but in code
    """
    made: list[dict[str, Any]] = []
    on: dict[str, bool] = {}
    for piece in _SIGN.split(text):
        turned = _STYLES.get(piece)
        if turned is not None:
            on = {name: True for name in {*on} ^ {turned}}
        elif piece:
            style = {"style": dict(on)} if on else {}
            made += [one | style for one in _stretch(piece, dated=dated and "code" not in on)]
    return made


def _stretch(piece: str, *, dated: bool) -> list[dict[str, Any]]:
    if piece.startswith(_LINK):
        url = piece[1:].partition(_LABEL)[0]
        return [{"type": "link", "url": url, "text": _label(piece)}]
    return _dated(piece) if dated else [{"type": "text", "text": piece}]


def _dated(text: str) -> list[dict[str, Any]]:
    """A stretch of text with its moments as elements of their own."""
    made: list[dict[str, Any]] = []
    end = 0
    for found in WRITTEN.finditer(text):
        at = seconds_of(found)
        if at is None:
            continue
        made += [{"type": "text", "text": text[end : found.start()]}] if found.start() > end else []
        shown = {"timestamp": at, "format": DATE_FORMAT, "fallback": found.group()}
        made.append({"type": "date", **shown})
        end = found.end()
    return made + ([{"type": "text", "text": text[end:]}] if text[end:] else [])


def _date_token(at: int, written: str) -> str:
    return f"<!date^{at}^{DATE_FORMAT}|{written}>"


def _label(sign: str) -> str:
    """What is read of a sign: of a link its words."""
    return _OURS.sub("", sign.partition(_LABEL)[2])


def _button(number: int, button: Button) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "button",
        "text": {"type": "plain_text", "text": button.label, "emoji": False},
        "action_id": f"{ACTION}.{number}{SUFFIX if button.picks else ''}",
    }
    if button.url:
        made["url"] = button.url
    else:
        made["value"] = button.says
    return made
