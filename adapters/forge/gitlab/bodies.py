"""Our notes as GitLab stores them; pure.

    @ann                          who is to be told, where somebody is

    All tests pass now.           the text, escaped before
    [Open](<https://…>)           buttons that lead somewhere
    <!-- ona:… -->                our mark

GitLab runs lines that begin with the name of a quick action, such as /merge, with the rights of
whoever posts them, and takes them out of the text. Our rights are nobody's to use: no line of ours
can be one.
"""

import html
import re

from adapters.chat.port import Content
from adapters.forge.markdown import WORD_JOINER, escape

_ACTION = re.compile(r"^([ \t]*/)(?=\w+(?:[ \t]|$))", re.MULTILINE)
_USERNAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_FENCE = re.compile(r"^```.*$", re.MULTILINE)


def compose(content: Content, *, mentioned: str, stamp: str) -> str:
    """The text of a note.

    :param mentioned: the usernames of who is to be told, with commas between; what is none is left
        out
    :param stamp: our mark as `Marks.stamp` writes it, or empty
    """
    links = [
        f"[{escape(one.label, code=False)}](<{_address(one.url)}>)"
        for one in content.buttons
        if one.url
    ]
    names = [f"@{one}" for one in mentioned.split(",") if _USERNAME.fullmatch(one)]
    told = " ".join(names) + "\n" if names else ""
    parts = [told, without_actions(content.text)]
    if links:
        parts.append("\n" + " · ".join(links))
    if stamp:
        parts.append(f"\n{stamp}")
    return "\n".join(part for part in parts if part)


def without_actions(text: str) -> str:
    """`text` with no line that GitLab could take for a quick action; it looks the same.

    GitLab drops carriage returns before it looks for them.
    """
    return _ACTION.sub(rf"\1{WORD_JOINER}", text.replace("\r", ""))


def mentions(body: str, usernames: str) -> bool:
    """Whether a note of ours begins with telling these people."""
    return body.startswith(" ".join(f"@{one}" for one in usernames.split(",")) + "\n")


def plain(text: str, length_max: int) -> str:
    """What readers see of the first line of an escaped text, cut."""
    shown = _ESCAPED.sub(r"\1", _FENCE.sub("", text)).replace(WORD_JOINER, "")
    line = next((one for one in html.unescape(shown).splitlines() if one.strip()), "").strip()
    return line if len(line) <= length_max else f"{line[: length_max - 1]}…"


def _address(url: str) -> str:
    return url.replace("<", "%3C").replace(">", "%3E").replace("\n", "")
