"""What nobody sees is found, and emoji are seen."""

import pytest

from bot.words.hidden import first_hidden, paired

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
SEEN = {
    "a flag of two letters": "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7",
    "a flag of tags": f"go {ENGLAND}{ENGLAND}!",
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "a profession with a skin": "\U0001f469\U0001f3fd\u200d\U0001f4bb",
    "two flags that are joined": "\U0001f3f3\ufe0f\u200d\U0001f308 \U0001f3f4\u200d\u2620\ufe0f",
    "a heart on fire": "\u2764\ufe0f\u200d\U0001f525",
    "signs as pictures": "\u00a9\ufe0f \u2194\ufe0f \u203c\ufe0f \u2139\ufe0f",
    "keys": "1\ufe0f\u20e3 #\ufe0f\u20e3",
    "joiners of scripts": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0915\u094d\u200d",
    "lines and tabs": "a\tb\r\nc",
    "other scripts": "\u05e9\u05dc\u05d5\u05dd \u6f22\u5b57 \u00fc",
}
FOUND = {
    "ev\u202eil": (2, "U+202E RIGHT-TO-LEFT OVERRIDE"),
    "\u2066": (0, "U+2066 LEFT-TO-RIGHT ISOLATE"),
    "a\u200fb": (1, "U+200F RIGHT-TO-LEFT MARK"),
    "r\u200bm": (1, "U+200B ZERO WIDTH SPACE"),
    "r\u200dm": (1, "U+200D ZERO WIDTH JOINER"),
    "r\u200cm": (1, "U+200C ZERO WIDTH NON-JOINER"),
    "a\ufeff": (1, "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
    "a\ufe0f": (1, "U+FE0F VARIATION SELECTOR-16"),
    "1\ufe0f": (1, "U+FE0F VARIATION SELECTOR-16"),
    "\U0001f600\ufe0f\ufe0f": (2, "U+FE0F VARIATION SELECTOR-16"),
    "\U0001f600\U000e0100": (1, "U+E0100 VARIATION SELECTOR-17"),
    "\U0001f468\u200d": (1, "U+200D ZERO WIDTH JOINER"),
    "\U0001f468\u200d\u200d\U0001f469": (1, "U+200D ZERO WIDTH JOINER"),
    "\U0001f468\u200drm": (1, "U+200D ZERO WIDTH JOINER"),
    "\u200d\U0001f468": (0, "U+200D ZERO WIDTH JOINER"),
    "\U000e0041": (0, "U+E0041 TAG LATIN CAPITAL LETTER A"),
    ENGLAND[1:]: (0, "U+E0067 TAG LATIN SMALL LETTER G"),
    ENGLAND[:-1]: (1, "U+E0067 TAG LATIN SMALL LETTER G"),
    "\U0001f3f4\U000e0072\U000e006d\U000e007f": (1, "U+E0072 TAG LATIN SMALL LETTER R"),
    f"{ENGLAND}\U000e0072": (7, "U+E0072 TAG LATIN SMALL LETTER R"),
    "\U0001f1e9\U0001f1ea\U000e0072": (2, "U+E0072 TAG LATIN SMALL LETTER R"),
    "a\u3164": (1, "U+3164 HANGUL FILLER"),
    "a\x9b": (1, "U+009B"),
    "\ud800": (0, "U+D800"),
}


@pytest.mark.parametrize("text", SEEN.values(), ids=SEEN)
def test_what_is_seen_is_not_hidden(text):
    assert first_hidden(text) is None


@pytest.mark.parametrize("text", FOUND, ids=ascii)
def test_what_is_hidden_is_found_and_named(text):
    found = first_hidden(text)
    assert (found.place, str(found)) == FOUND[text]


def test_what_was_escaped_in_halves_is_one_character_again():
    assert paired("a \ud83c\udde9\ud83c\uddea \ud800") == "a \U0001f1e9\U0001f1ea \ud800"
