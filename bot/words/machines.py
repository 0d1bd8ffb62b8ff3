"""What becomes of a machine's own words where people read them; pure.

Whole ids and a guest's console are for operators: the log and the machine's row keep them.
"""

import re

_NAMED = re.compile(
    r"\bmachine [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE
)
_PANIC = re.compile(r"\b(kernel panicked)\b.*", re.DOTALL)


def told(why: str) -> str:
    """Why a machine is of no use, for a thread: no whole id, nothing from the guest's console."""
    if _NAMED.search(why) or _PANIC.search(why):
        return _PANIC.sub(r"\1", _NAMED.sub("the machine", why))
    # What a substitution gives is no `Message` any more, even where it changes nothing.
    return why
