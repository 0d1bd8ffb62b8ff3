"""What is said about files of automations; pure."""

from bot.automate.files.yaml_tree import Fault, Path
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _


def told(path: str, fault: Fault) -> Message:
    """One mistake: file, line and column, what was expected, what is there, what may be meant."""
    where = f"{path}:{fault.spot.line}:{fault.spot.column}"
    at = dotted(fault.at)
    said = _("expected: {expected}", expected=fault.expected)
    if fault.said:
        said = _("{expected}; found: {said}", expected=said, said=fault.said)
    if fault.near:
        said = _("{found}; did you mean {near}?", found=said, near=fault.near)
    if not at:
        return _("{where}: {said}", where=where, said=said)
    return _("{where}: {at}: {said}", where=where, at=at, said=said)


def dotted(path: Path) -> str:
    """`triggers[0].cron`."""
    said = ""
    for part in path:
        said += f"[{part}]" if isinstance(part, int) else f".{part}" if said else part
    return said
