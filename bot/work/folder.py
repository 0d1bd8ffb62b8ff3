"""The files of one folder of a commit, read from the project's mirror; bounded.

What lies there is somebody's: links are not followed, and what is too large is not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.work.mirror import Mirror

READ_BYTES_MAX = 4 * 1024 * 1024
"""Of all files of a folder together."""


class TooMany(Exception):
    """The folder has more files than are read."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file of the folder."""

    path: str
    data: bytes
    """As much of it as was asked for and one byte more, if there is more."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    oid: str
    size: int
    path: str


async def files_in(
    mirror: Mirror,
    commit: str,
    folder: str,
    *,
    endings: tuple[str, ...],
    files_max: int,
    bytes_max: int,
) -> list[Found]:
    """The files directly in a folder whose names end so, by path; none if it isn't there.

    :param bytes_max: of each; of a larger one its beginning is given
    :raises TooMany: there are more than `files_max`, or they are too large together
    :raises GitFailed: the mirror doesn't have the commit
    """
    entries = [one for one in await _listed(mirror, commit, folder) if one.path.endswith(endings)]
    if len(entries) > files_max or sum(one.size for one in entries) > READ_BYTES_MAX:
        raise TooMany(f"{len(entries)} files in {folder}")
    data = await _read(mirror, entries)
    return [Found(path=one.path, data=data[one.path][: bytes_max + 1]) for one in entries]


async def _listed(mirror: Mirror, commit: str, folder: str) -> list[_Entry]:
    words = ("--literal-pathspecs", "ls-tree", "-z", "-l", "--full-tree", commit, "--")
    said = await mirror.run(*words, f"{folder}/")
    found = []
    for line in said.decode("utf-8", "surrogateescape").split("\0"):
        facts, _, path = line.partition("\t")
        parts = facts.split()
        if len(parts) == 4 and parts[0] in {"100644", "100755"}:
            shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            found.append(_Entry(oid=parts[2], size=int(parts[3]), path=shown))
    return found


async def _read(mirror: Mirror, entries: Sequence[_Entry]) -> dict[str, bytes]:
    if not entries:
        return {}
    asked = "".join(f"{one.oid}\n" for one in entries).encode()
    said = await mirror.run("cat-file", "--batch", stdin=asked)
    found, at = {}, 0
    for one in entries:
        # Each is a line of `oid type size`, the content, a line's end.
        begin = said.index(b"\n", at) + 1
        found[one.path] = said[begin : begin + one.size]
        at = begin + one.size + 1
    return found
