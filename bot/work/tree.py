"""What lies in a commit near its root: names, and what a few small files begin with.

Read on the host, from the project's mirror. The content is somebody's repository: data, bounded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bot.work.detect.tree import READ, Tree
from bot.work.mirror import Mirror

DIRECTORIES_MAX = 200
"""Of the root, by name; those after them are not looked into."""
TEXTS_MAX = 60
FILE_BYTES_MAX = 4 * 1024 * 1024
"""A larger file is listed and not read."""
READ_BYTES_MAX = 12 * 1024 * 1024
"""Of all files together."""
TEXT_BYTES_MAX = 256 * 1024
"""What is kept of one, from its beginning."""
DEEPER = ".devcontainer"
"""The one directory of the root that is listed with all that is below it."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    kind: str
    """`blob` or `tree`; a link has the mode of one."""
    oid: str
    size: int
    path: str


async def tree_of(mirror: Mirror, commit: str) -> Tree:
    """Look at it. :raises GitFailed: the mirror doesn't have it"""
    root = await _listed(mirror, commit)
    names = [one.path for one in root if one.kind == "tree"]
    below: list[_Entry] = []
    if DEEPER in names:
        below += await _listed(mirror, commit, f"{DEEPER}/", more=("-r",))
    near = [f"{name}/" for name in names if name != DEEPER][:DIRECTORIES_MAX]
    if near:
        below += await _listed(mirror, commit, *near)
    files = [one for one in (*root, *below) if one.kind == "blob"]
    return Tree(files=frozenset(one.path for one in files), texts=await _texts(mirror, files))


async def _listed(
    mirror: Mirror, commit: str, *paths: str, more: Sequence[str] = ()
) -> list[_Entry]:
    words = ("--literal-pathspecs", "ls-tree", "-z", "-l", "--full-tree", *more)
    said = await mirror.run(*words, commit, "--", *paths)
    found = []
    for line in said.decode("utf-8", "surrogateescape").split("\0"):
        facts, _, path = line.partition("\t")
        words_of = facts.split()
        if len(words_of) == 4 and words_of[0] in {"100644", "100755", "040000"}:
            _, kind, oid, size = words_of
            found.append(
                _Entry(kind=kind, oid=oid, size=int(size) if size != "-" else 0, path=path)
            )
    return found


async def _texts(mirror: Mirror, files: Iterable[_Entry]) -> dict[str, str]:
    wanted: list[_Entry] = []
    left = READ_BYTES_MAX
    for one in files:
        fits = one.size <= min(FILE_BYTES_MAX, left) and len(wanted) < TEXTS_MAX
        if fits and PurePosixPath(one.path).name in READ:
            wanted.append(one)
            left -= one.size
    if not wanted:
        return {}
    asked = "".join(f"{one.oid}\n" for one in wanted).encode()
    said = await mirror.run("cat-file", "--batch", stdin=asked)
    texts, at = {}, 0
    for one in wanted:
        # Each is a line of `oid type size`, the content, a line's end.
        begin = said.index(b"\n", at) + 1
        kept = said[begin : begin + min(one.size, TEXT_BYTES_MAX)]
        texts[one.path] = kept.decode("utf-8", "replace")
        at = begin + one.size + 1
    return texts
