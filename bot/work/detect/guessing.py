"""The set-up commands of a project that names none, guessed from the files in its repository.

Every guess names the file that it follows from. It fetches what the project needs and leaves the
tracked files alone: what it would write beside them is in `LEFT_BEHIND`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from shlex import quote

from bot.work.detect import node, python
from bot.work.detect.devcontainer import Devcontainer, devcontainer_of
from bot.work.detect.tree import Tree

GUESSES_MAX = 12
DIRECTORIES_MAX = 4
"""Below the root in which one kind of project is looked for, when the root has none."""
NOT_OF_THE_PROJECT = frozenset(
    {
        *("build", "dist", "docs", "doc", "example", "examples", "fixtures", "node_modules"),
        *("sample", "samples", "target", "test", "testdata", "tests", "third_party", "vendor"),
    }
)
"""Directories whose files say nothing of what the project itself needs."""
LEFT_BEHIND = (".venv/", "node_modules/", "*.egg-info/", ".gradle/")
"""What the commands make in the repository: not to be taken for somebody's work."""
TARGETS = ("setup", "bootstrap", "deps")
"""Of a Makefile, in the order of preference; each can only mean one thing."""
INSTALL = "install"
"""A target that readies a checkout beside a language's own files, and the system elsewhere."""

# Whatever stands in a line, it is read once: nothing is given back to be tried again.
_TARGET = re.compile(r"^(?P<names>[A-Za-z0-9_./ -][A-Za-z0-9_./ \t-]*+)::?+(?!=)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A command that readies a machine for the project."""

    file: str
    """Path of what it follows from."""
    command: str
    """For a shell, in the repository's root."""
    tools: tuple[str, ...] = ()
    """What it needs, as `bot.work.detect.tools` knows it."""


@dataclass(frozen=True, kw_only=True)
class Detected:
    """What the files of a commit say of the environment that they want."""

    guesses: tuple[Guess, ...] = ()
    devcontainer: Devcontainer | None = None


Found = tuple[str, str, tuple[str, ...]]
"""Of one directory: the file's name, the command in that directory, the tools."""
Kind = Callable[[Tree, str], Iterator[Found]]
"""What a directory says, given as a prefix that is empty or ends in a slash."""


def guessed(tree: Tree) -> tuple[Guess, ...]:
    """The commands in the order in which they are to run; none when nothing is recognised."""
    found: list[Guess] = []
    for kind in KINDS:
        found += _everywhere(tree, kind)
    found += _of_make(tree, has_language=bool(found))
    return tuple(found[:GUESSES_MAX])


def detected(tree: Tree) -> Detected:
    """All of it."""
    return Detected(guesses=guessed(tree), devcontainer=devcontainer_of(tree))


def _everywhere(tree: Tree, kind: Kind) -> list[Guess]:
    """What the root says of this kind; where it says nothing, what the directories in it say."""
    at_root = _in_directory(tree, kind, "")
    if at_root:
        return at_root
    found: list[list[Guess]] = []
    for name in _directories(tree):
        below = _in_directory(tree, kind, f"{name}/")
        if below and len(found) < DIRECTORIES_MAX:
            found.append(below)
    return [guess for guesses in found for guess in guesses]


def _in_directory(tree: Tree, kind: Kind, prefix: str) -> list[Guess]:
    return [
        Guess(
            file=prefix + name,
            command=f"cd {quote(prefix[:-1])} && {command}" if prefix else command,
            tools=tools,
        )
        for name, command, tools in kind(tree, prefix)
    ]


def _directories(tree: Tree) -> list[str]:
    parents = {str(PurePosixPath(path).parent) for path in tree.files}
    return sorted(
        name
        for name in parents
        if "/" not in name and not name.startswith(".") and name not in NOT_OF_THE_PROJECT
    )


def _go(tree: Tree, prefix: str) -> Iterator[Found]:
    if f"{prefix}go.mod" in tree.files:
        yield "go.mod", "go mod download", ("go",)


def _cargo(tree: Tree, prefix: str) -> Iterator[Found]:
    if f"{prefix}Cargo.lock" in tree.files:
        yield "Cargo.lock", "cargo fetch --locked", ("cargo",)
    elif f"{prefix}Cargo.toml" in tree.files:
        # It has to resolve to fetch, and the project keeps no such file.
        yield "Cargo.toml", "cargo fetch && rm -f Cargo.lock", ("cargo",)


def _java(tree: Tree, prefix: str) -> Iterator[Found]:
    offline = "-B -q -fae dependency:go-offline"
    if f"{prefix}pom.xml" in tree.files and f"{prefix}mvnw" in tree.files:
        yield "pom.xml", f"sh ./mvnw {offline}", ("jdk",)
    elif f"{prefix}pom.xml" in tree.files:
        yield "pom.xml", f"mvn {offline}", ("jdk", "maven")
    elif f"{prefix}gradlew" in tree.files:
        # Without a wrapper there is no guess: only the project knows which Gradle it takes.
        yield "gradlew", "sh ./gradlew --no-daemon -q dependencies", ("jdk",)


KINDS: tuple[Kind, ...] = (python.found, node.found, _go, _cargo, _java)


def _of_make(tree: Tree, *, has_language: bool) -> list[Guess]:
    for name in ("GNUmakefile", "makefile", "Makefile"):
        if name in tree.texts:
            targets = {
                target
                for match in _TARGET.finditer(tree.texts[name])
                for target in match["names"].split()
            }
            wanted = (*TARGETS, *([INSTALL] if has_language else []))
            target = next((one for one in wanted if one in targets), None)
            return [Guess(file=name, command=f"make {target}")] if target else []
    return []
