"""Files beside a message: how many, how large, and of what kind we take along.

What a file is, its bytes say: neither its name nor what the surface calls it is trusted.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from adapters.chat.incoming import Attached

FETCH_SECONDS = 1.2
"""For all of them: a surface waits three seconds for the acknowledgement of the message itself."""
FILES_MAX = 5
FILE_BYTES_MAX = 1024 * 1024
BYTES_MAX = 3 * 1024 * 1024
"""Of all files of one message."""

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""ESC may be there: logs have colours."""


@dataclass(frozen=True, kw_only=True)
class Ref:
    """A file that could be fetched."""

    key: str
    """Of the message that it stands beside, as `Said.key`."""
    name: str
    size: int
    """In bytes, as the surface says."""
    fetch: Callable[[int], Awaitable[bytes]]
    """All of it; stops after so many bytes. :raises FileNotFetched:"""


class FileNotFetched(Exception):
    """The surface did not give it; the text says why."""


def media_type(data: bytes) -> str | None:
    """What it is: an image, or text in UTF-8; None: something else."""
    for begins, kind in _IMAGES:
        if data.startswith(begins):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _NO_TEXT.search(text) else "text/plain"


async def fetch(refs: Sequence[Ref]) -> tuple[Attached, ...]:
    """The files that fit, in order; those left out come without data and say why."""
    taken: list[Attached] = []
    room = BYTES_MAX
    for number, ref in enumerate(refs):
        if number >= FILES_MAX:
            taken.append(_left(ref, f"only {FILES_MAX} files fit"))
            continue
        one = await _fetch(ref, min(room, FILE_BYTES_MAX))
        room -= len(one.data)
        taken.append(one)
    return tuple(taken)


async def _fetch(ref: Ref, bytes_max: int) -> Attached:
    too_large = _left(ref, f"larger than the {bytes_max:,} bytes that fit")
    if ref.size > bytes_max:
        return too_large
    try:
        data = await ref.fetch(bytes_max)
    except FileNotFetched as error:
        return _left(ref, str(error))
    if len(data) > bytes_max:
        return too_large
    kind = media_type(data)
    if kind is None:
        return _left(ref, "neither text nor an image")
    return Attached(key=ref.key, name=ref.name, media_type=kind, data=data)


def _left(ref: Ref, why: str) -> Attached:
    return Attached(key=ref.key, name=ref.name, why=why)


def not_in_time(refs: Sequence[Ref]) -> tuple[Attached, ...]:
    """The files, none of which came in time."""
    return tuple(_left(ref, "it did not come in time") for ref in refs)
