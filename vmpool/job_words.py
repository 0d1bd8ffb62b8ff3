"""What a guest says about jobs, read word by word; pure.

The guest program is ours, but its machine is not: whatever is not what ours says means that it is
ours no more, and the machine counts as lost.
"""

import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from vmpool.errors import JobRefused, MachineLost, StaleToken
from vmpool.storable import storable

STALE_TOKEN = "stale_token"
PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
"""Of one frame; the guest program sends far less."""
NUMBER_MAX = 2**53
"""Beyond it JSON's readers don't agree, and columns are full."""

_SHORT = reprlib.Repr()
"""Of what is nested without end, too."""
_SHORT.maxstring = _SHORT.maxother = 200


def nonsense(what: object) -> MachineLost:
    """What a guest program that is ours never says."""
    return MachineLost(f"The machine's guest program is not to be understood: {_SHORT.repr(what)}.")


def header_of(line: bytes) -> tuple[dict[str, Any], int]:
    """A frame's header, and how many bytes follow it. :raises MachineLost: it is none"""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise nonsense(error) from error
    if not isinstance(header, dict):
        raise nonsense(header)
    size = number(header.get("bytes", 0))
    if size > PAYLOAD_BYTES_MAX:
        raise nonsense(f"a payload of {size} bytes")
    return header, size


def refused_or(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, unless it is a refusal. :raises JobRefused, StaleToken: it is one."""
    code = answer.get("error")
    if code == STALE_TOKEN:
        raise StaleToken("A newer lease holds the machine.")
    if code is not None:
        raise JobRefused(text(code), text(answer.get("why", "")))
    return answer


def number(said: Any) -> int:
    """A count, an offset or a status. :raises MachineLost: it is none"""
    if type(said) is not int or not 0 <= said <= NUMBER_MAX:
        raise nonsense(said)
    return said


def text(said: Any) -> str:
    """Words, as a column takes them. :raises MachineLost: they are none"""
    if not isinstance(said, str):
        raise nonsense(said)
    return storable(said)


def entries(said: Any) -> Sequence[Any]:
    """A list. :raises MachineLost: it is none"""
    if not isinstance(said, list):
        raise nonsense(said)
    return said


def words(said: Any) -> Mapping[str, Any]:
    """An object. :raises MachineLost: it is none"""
    if not isinstance(said, dict):
        raise nonsense(said)
    return said


def fitting(said: Any, kind: Any) -> Any:
    """A value of the kind that an annotation names. :raises MachineLost: it is another"""
    kinds = get_args(kind) or (kind,)
    if said is None and type(None) in kinds:
        return None
    if bool in kinds and isinstance(said, bool):
        return said
    if str in kinds:
        return text(said)
    if int in kinds:
        return number(said)
    if float in kinds and type(said) in {int, float} and abs(said) <= NUMBER_MAX:
        return float(said)
    raise nonsense(said)
