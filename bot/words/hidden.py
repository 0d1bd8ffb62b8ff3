"""Characters of a text that nobody who reads it sees; pure.

Hidden are controls, what turns the order of a line around, what has no width, and variation
selectors and tags: with them a text says something else than it shows. They are not where they
belong: in emoji that are made of several, in the three flags that are made of tags, and joiners
behind letters of scripts that are written with them.
"""

import re
import unicodedata
from dataclasses import dataclass

_HIDDEN = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_PICTURE = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf"
    "\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
_ELEMENT = f"{_PICTURE}[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]?"
_KEYCAP = "[0-9#*]\ufe0f\u20e3"
_NATIONS = ("gbeng", "gbsct", "gbwls")
"""What is drawn as a flag; of others only a black one is seen, whatever their tags say."""
_TAGGED = [
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(one)) for one in nation) + "\U000e007f"
    for nation in _NATIONS
]
_EMOJI = "|".join((*_TAGGED, _KEYCAP, f"{_ELEMENT}(?:\u200d{_ELEMENT})*"))
_JOINED = "(?<=[\u0620-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af\ufb50-\ufdff\ufe70-\ufefc])"
_LOOK = re.compile(f"(?:{_EMOJI})|{_JOINED}[\u200c\u200d]|(?P<hidden>{_HIDDEN})")
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """A character that is not seen, and where it is."""

    place: int
    character: str

    def __str__(self) -> str:
        """`U+202E RIGHT-TO-LEFT OVERRIDE`."""
        name = unicodedata.name(self.character, "")
        return f"U+{ord(self.character):04X} {name}".strip()


def first_hidden(text: str) -> Hidden | None:
    """The first of them; None: all of the text is seen."""
    for found in _LOOK.finditer(text):
        if found["hidden"]:
            return Hidden(place=found.start(), character=found["hidden"])
    return None


def paired(text: str) -> str:
    """`text` with each character in one piece that JSON escapes as two halves."""

    def whole(found: re.Match[str]) -> str:
        return found[0].encode("utf-16", "surrogatepass").decode("utf-16")

    return _SURROGATES.sub(whole, text)
