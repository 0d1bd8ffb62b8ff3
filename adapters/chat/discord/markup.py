"""Discord's Markdown: what a message says as people read it, and text that means nothing.

Every character that Discord gives a meaning gets a backslash, but for those of an address, which
would not lead anywhere with them. Whom a post notifies is not left to its text: the port says
it.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

_ADDRESS = re.compile(r"https?://[^\s<>()\[\]`*|\\]+")
_SPECIAL = re.compile(r"[\\`*_~|<>\[\]()#@:]")
_BULLET = re.compile(r"^(\s*\d*)([-+.])", re.MULTILINE)
_FENCE = re.compile(r"`{3,}")
_TOKEN = re.compile(r"<(@[!&]?|#|a?:[\w~]+:|/[^:>]+:|t:)(-?\d+)(?::[a-zA-Z])?>")


def escape(text: str, *, code: bool) -> str:
    """See `ChatPort.escape`; a fence in a block is broken by spaces that have no width."""
    if code:
        return _FENCE.sub(lambda run: "\u200b".join(run.group()), text)
    parts, end = [], 0
    for address in _ADDRESS.finditer(text):
        parts += [_escaped(text[end : address.start()]), address.group()]
        end = address.end()
    return _BULLET.sub(r"\1\\\2", "".join([*parts, _escaped(text[end:])]))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found.group()}", text)


def mentions(text: str) -> list[int]:
    """The ids of the people whom a message mentions, in order."""
    return [int(found.group(2)) for found in _TOKEN.finditer(text) if found.group(1) in ("@", "@!")]


def plain(text: str, name_of: Callable[[str, int], str]) -> str:
    """What a message says as people read it.

    :param name_of: the name of what has an id: of `@` a person, `@&` a role, `#` a channel
    """

    def shown(found: re.Match[str]) -> str:
        kind, number = found.groups()
        match kind:
            case "@" | "@!":
                return f"@{name_of('@', int(number))}"
            case "@&":
                return f"@{name_of('@&', int(number))}"
            case "#":
                return f"#{name_of('#', int(number))}"
            case "t:":
                return _moment(int(number)) or str(found.group())
        return kind.removeprefix("a") if kind.startswith(("a:", ":")) else kind.rstrip(":")

    return _TOKEN.sub(shown, text)


def _moment(seconds: int) -> str:
    """As people write it; empty: no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M UTC}"
    except (OverflowError, ValueError, OSError):
        return ""


def without_mention(text: str, user: int) -> str:
    """`text` without a mention of `user` where it begins."""
    return re.sub(rf"^\s*<@!?{user}>[:,]?\s*", "", text)
