"""What was found out about a forge by using the credentials for it."""

from dataclasses import dataclass

EXAMINE_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was found out."""

    name: str = ""
    """Who we are there."""
    missing: tuple[str, ...] = ()
    """What we may not, as the forge calls it, and where."""
    unseen: tuple[str, ...] = ()
    """Repositories of projects that we don't see."""
    remarks: tuple[str, ...] = ()
    """What else an operator should know, in clauses."""
    wrong: str = ""
    """Why it does not work at all; "" when it does."""
    unreached: bool = False
    """Nothing answered there: that says nothing of the credentials."""
