"""Reading texts as Slack's clients do: what is markup, what is shown, who is pinged."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
"""The only ones there are; any other is shown as it is written."""
DATE = re.compile(r"!date\^(\d+)\^([^^]+)(?:\^(.*))?$")
TOKEN = re.compile(r"<([^<>\n]*)>")
FENCE = re.compile(r"```(.*?)```", re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
BARE_LINK = re.compile(r"https?://(?:(?!&[lg]t;)[^\s<>|*`])*(?:(?!&[lg]t;)[^\s<>|*`.,;:!?)\]'\"])")
EMOJI = re.compile(r"(?<![\w:]):([a-z0-9_+'-]+):(?![\w:])")
QUOTE = re.compile(r"^(?:&gt;|>)(?:&gt;&gt;|>>)? ?", re.MULTILINE)
HIDDEN = "\ue000{}\ue001"
"""Stands for something that was read already."""
SHIELD = {ord(sign): 0xE010 + number for number, sign in enumerate("*_~`:<>&")}
"""Plain text has these instead of what would be markup."""
UNSHIELD = {shield: sign for sign, shield in SHIELD.items()}
HIDDEN_FOUND = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A text as people read it."""

    text: str
    users: tuple[str, ...] = ()
    """Ids of the people it mentions."""
    special: tuple[str, ...] = ()
    """`channel`, `here`, `everyone`, and user groups by their ids."""
    links: tuple[tuple[str, str], ...] = ()
    """Where each leads, and what is written on it."""
    blocks: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    bold: tuple[str, ...] = ()
    italic: tuple[str, ...] = ()
    struck: tuple[str, ...] = ()
    quoted: bool = False
    emoji: tuple[str, ...] = ()
    dates: tuple[tuple[int, str], ...] = ()
    """Seconds since 1970, and how they are shown."""

    def unshielded(self) -> Shown:
        """With the signs of plain text as they are."""

        def of(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(of(each) for each in value)
            return value.translate(UNSHIELD) if isinstance(value, str) else value

        return Shown(**{name: of(value) for name, value in vars(self).items()})

    @property
    def is_plain(self) -> bool:
        """It has nothing but text in it."""
        return self == Shown(text=self.text)


@dataclass(frozen=True, kw_only=True)
class Pings:
    users: tuple[str, ...]
    groups: tuple[str, ...]
    channel: bool
    here: bool


def unescape(text: str) -> str:
    return re.sub("&(?:lt|gt|amp);", lambda found: ENTITIES[found[0]], text)


def pings(text: str) -> Pings:
    """Whom a text notifies; code is no shelter, since tokens are read before it."""
    tokens = [token.partition("|")[0] for token in TOKEN.findall(text)]
    return Pings(
        users=tuple(token[1:] for token in tokens if re.match(r"@[UW]\w+$", token)),
        groups=tuple(token[9:] for token in tokens if token.startswith("!subteam^")),
        channel=any(token in ("!channel", "!everyone") for token in tokens),
        here="!here" in tokens,
    )


class _Reader:
    """Takes a text apart; what it has read is hidden from the patterns that come later."""

    def __init__(self) -> None:
        self.found: dict[str, list[Any]] = {}
        self._hidden: list[str] = []

    def read(self, text: str) -> Shown:
        text = text.replace("\ue000", "").replace("\ue001", "")
        text = TOKEN.sub(self._token, text)
        text = FENCE.sub(self._keep("blocks", lambda inner: inner.strip("\n")), text)
        text = CODE.sub(self._keep("code", str), text)
        text = BARE_LINK.sub(self._bare_link, text)
        text = EMOJI.sub(self._emoji, text)
        quoted = bool(QUOTE.search(text))
        text = QUOTE.sub("", text)
        for name, mark in (("bold", r"\*"), ("italic", "_"), ("struck", "~")):
            text = self._styled(name, mark, text)
        lists = {name: tuple(values) for name, values in self.found.items()}
        return Shown(text=self._reveal(text), quoted=quoted, **lists)

    def _note(self, name: str, value: Any) -> None:
        self.found.setdefault(name, []).append(value)

    def _hide(self, text: str) -> str:
        self._hidden.append(text)
        return HIDDEN.format(len(self._hidden) - 1)

    def _reveal(self, text: str) -> str:
        """Put back what was hidden, also what was hidden in it."""
        text = unescape(text)
        while HIDDEN_FOUND.search(text):
            text = HIDDEN_FOUND.sub(lambda found: self._hidden[int(found[1])], text)
        return text

    def _keep(self, name: str, trim: Any) -> Any:
        def replace(found: re.Match[str]) -> str:
            inner = self._reveal(trim(found[1]))
            self._note(name, inner)
            return self._hide(inner)

        return replace

    def _token(self, found: re.Match[str]) -> str:
        target, _, label = found[1].partition("|")
        if target.startswith("@"):
            self._note("users", target[1:])
            return self._hide(f"@{target[1:]}")
        if date := DATE.match(target):
            self._note("dates", (int(date[1]), date[2]))
            return self._hide(unescape(label))
        if target.startswith("!"):
            name = target[1:].partition("^")[2] or target[1:]
            self._note("special", name)
            return self._hide(f"@{unescape(label) or name}")
        if target.startswith("#"):
            return self._hide(f"#{unescape(label) or target[1:]}")
        if not re.match(r"(?:https?|mailto|tel|slack):", target):
            return self._hide(unescape(found[0]))
        shown = unescape(label or target)
        self._note("links", (unescape(target), shown))
        return self._hide(shown)

    def _bare_link(self, found: re.Match[str]) -> str:
        self._note("links", (unescape(found[0]), unescape(found[0])))
        return self._hide(unescape(found[0]))

    def _emoji(self, found: re.Match[str]) -> str:
        self._note("emoji", found[1])
        return self._hide(found[0])

    def _styled(self, name: str, mark: str, text: str) -> str:
        pattern = (
            rf"(?<![\w{mark}]){mark}(?=[^\s{mark}])([^\n]*?)(?<=[^\s{mark}]){mark}(?![\w{mark}])"
        )

        def replace(found: re.Match[str]) -> str:
            self._note(name, self._reveal(found[1]))
            return found[1]

        return re.sub(pattern, replace, text)


def shown(text: str) -> Shown:
    """Read a text with markup."""
    return _Reader().read(text).unshielded()


def typed(text: str) -> str:
    """What goes over the wire when a person types this; mentions are picked, not typed."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return BARE_LINK.sub(lambda found: f"<{found[0]}>", escaped)


def rich_text(text: str) -> dict[str, Any]:
    """The block that comes with what a person wrote."""
    elements: list[dict[str, Any]] = []
    for number, piece in enumerate(TOKEN.split(text)):
        target, _, label = piece.partition("|")
        if number % 2 == 0:
            elements += [{"type": "text", "text": unescape(piece)}] if piece else []
        elif target.startswith("@"):
            elements.append({"type": "user", "user_id": target[1:]})
        elif target.startswith("#"):
            elements.append({"type": "channel", "channel_id": target[1:]})
        elif target.startswith("!"):
            elements.append({"type": "broadcast", "range": target[1:]})
        else:
            link = {"type": "link", "url": unescape(target)}
            elements.append(link | ({"text": unescape(label)} if label else {}))
    section = {"type": "rich_text_section", "elements": elements}
    return {"type": "rich_text", "block_id": "b0", "elements": [section]}


def block_text(block: dict[str, Any]) -> str:
    """What people read in a block, with its markup."""
    kind = block.get("type")
    if kind == "section":
        texts = [block["text"]] if "text" in block else []
        return "\n".join(_object_text(each) for each in texts + block.get("fields", []))
    if kind in ("header", "markdown"):
        return str(block["text"]) if kind == "markdown" else _object_text(block["text"])
    if kind == "context":
        return " ".join(_object_text(each) for each in block["elements"])
    if kind == "actions":
        return " ".join(f"[{_object_text(each['text'])}]" for each in _buttons(block))
    if kind == "rich_text":
        return "".join(_rich(each) for each in block["elements"])
    return "---" if kind == "divider" else str(block.get("alt_text", ""))


def blocks_text(blocks: list[dict[str, Any]]) -> str:
    return "\n".join(block_text(block) for block in blocks)


def everything_said(text: str, blocks: list[dict[str, Any]] | None) -> str:
    """The text and the blocks together, as far as they can ping somebody."""
    return f"{text}\n{blocks_text(blocks or [])}"


def _buttons(block: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in block.get("elements", []) if each.get("type") == "button"]


def _object_text(each: dict[str, Any]) -> str:
    if each.get("type") == "image":
        return str(each.get("alt_text", ""))
    text = str(each.get("text", ""))
    if each.get("type") == "plain_text":
        return text.translate(SHIELD)
    return text


def _rich(each: dict[str, Any]) -> str:
    kind = each.get("type")
    if kind == "user":
        return f"<@{each['user_id']}>"
    if kind == "link":
        # Its words are no markup.
        return f"<{each['url']}|{each.get('text', each['url']).translate(SHIELD)}>"
    if kind == "date":
        return f"<!date^{each['timestamp']}^{each['format']}|{each['fallback']}>"
    if "elements" in each:
        return "".join(_rich(inner) for inner in each["elements"])
    return _object_text({"type": "plain_text", "text": each.get("text", "")})
