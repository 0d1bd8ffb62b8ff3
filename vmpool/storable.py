"""Text that a guest, a program or a person has a say in, as a row can keep it. Pure."""

SENTENCE_CHARACTERS_MAX = 2000
"""Of what is meant to be one sentence for a person."""


def storable(said: str) -> str:
    """The text without what no column takes: NUL and lone surrogates."""
    return said.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def sentence(said: str) -> str:
    """The same of what should be one sentence: no longer than anybody reads."""
    return storable(said)[:SENTENCE_CHARACTERS_MAX]
