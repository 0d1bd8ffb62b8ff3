"""From the clauses of an error to sentences; pure."""

from bot.errors import OnaError


def sentence(clause: str) -> str:
    """`clause` with a capital letter and a full stop."""
    clause = clause.strip()
    if not clause:
        return ""
    ended = clause if clause[-1] in ".!?`" else f"{clause}."
    return ended[0].upper() + ended[1:]


def told(error: OnaError) -> str:
    """What happened, what was kept and what to do, as sentences."""
    parts = (error.happened, error.kept, error.do)
    return " ".join(sentence(part) for part in parts if part)
