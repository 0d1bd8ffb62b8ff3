"""From the clauses of an error to sentences; pure."""

import re

from bot.errors import OnaError

_AS_WRITTEN = re.compile(r"ona\b|[\w-]*(://|[/._=@])\w")
"""What begins so is a name, a path, an address or a setting and keeps its small letter."""


def sentence(clause: str) -> str:
    """`clause` with a capital letter, unless it begins with a name, and a full stop."""
    clause = clause.strip()
    if not clause:
        return ""
    ended = clause if clause[-1] in ".!?`" else f"{clause}."
    return ended if _AS_WRITTEN.match(ended) else ended[0].upper() + ended[1:]


def told(error: OnaError) -> str:
    """What happened, what was kept and what to do, as sentences."""
    parts = (error.happened, error.kept, error.do)
    return " ".join(sentence(part) for part in parts if part)
