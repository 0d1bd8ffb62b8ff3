"""Text that has to show as it is in the Markdown of forges; pure.

A backslash takes the meaning of ASCII punctuation in CommonMark. It does not keep forges from
making links of what looks like a person, an issue, a commit range or an address, because they look
at the text that is shown: there a word joiner, which nobody sees, stands behind the sign.
"""

WORD_JOINER = "\u2060"

_PUNCTUATION = "\"'()*+,-./;=?[\\]^_`{|}"
_REFERS = "#!%~$:"
"""What a forge reads, with what follows, as a name of something: an issue, a label, an emoji."""
_TRANSLATED = str.maketrans(
    {sign: f"\\{sign}" for sign in _PUNCTUATION}
    | {sign: f"\\{sign}{WORD_JOINER}" for sign in _REFERS}
    | {"@": f"@{WORD_JOINER}", "&": f"&amp;{WORD_JOINER}", "<": "&lt;", ">": "&gt;", "\t": " "}
)
_CODE = str.maketrans({"`": f"`{WORD_JOINER}"})


def escape(text: str, *, code: bool) -> str:
    """Make `text` show as it is; see `adapters.chat.port.ChatPort.escape`."""
    if code:
        return text.translate(_CODE)
    return text.translate(_TRANSLATED)
