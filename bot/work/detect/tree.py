"""A commit's files near its root, as what is guessed from them sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

READ = frozenset(
    {
        ".devcontainer.json",
        ".node-version",
        ".nvmrc",
        "GNUmakefile",
        "Makefile",
        "devcontainer.json",
        "makefile",
        "package.json",
        "pnpm-lock.yaml",
        "pyproject.toml",
    }
)
"""Names of the files that somebody wants to read."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The files of a commit at its root and in the directories there; links are left out."""

    files: frozenset[str]
    """Paths with slashes."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """By path, of those in `files` that are in `READ`."""
