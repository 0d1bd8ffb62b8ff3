"""What a directory's Python files say of its set-up."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from shlex import quote
from typing import Any

from bot.work.detect.tree import Tree

VENV = "python3 -m venv .venv"
EXTRAS = ("dev", "develop", "development", "test", "tests", "testing")
"""Names of what is only needed to work on a package."""
_FOR_WORK = re.compile(r"(dev|develop|development|test|tests|testing)")
_REQUIREMENTS = re.compile(
    rf"requirements([-_.]{_FOR_WORK.pattern})?\.txt|{_FOR_WORK.pattern}[-_.]requirements\.txt"
)


def found(tree: Tree, prefix: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """See `bot.work.detect.guessing.Kind`."""
    if f"{prefix}uv.lock" in tree.files:
        yield "uv.lock", "uv sync --frozen", ("uv",)
        return
    needs = _requirements(tree, prefix)
    package = _package(tree, prefix)
    words = [f"-r {quote(name)}" for name in needs]
    if package is not None:
        words.append(f"-e {quote(package[1])}")
    if words:
        file = needs[0] if needs else package[0] if package else ""
        yield file, f"{VENV} && .venv/bin/pip install {' '.join(words)}", ()


def _requirements(tree: Tree, prefix: str) -> list[str]:
    """Names of the files that list what is needed, the general one first."""
    here = (path.removeprefix(prefix) for path in tree.files if path.startswith(prefix))
    names = [name for name in here if "/" not in name and _REQUIREMENTS.fullmatch(name)]
    return sorted(names, key=lambda name: (name != "requirements.txt", name))


def _package(tree: Tree, prefix: str) -> tuple[str, str] | None:
    """The file that makes the directory a package, and what pip is to install of it."""
    project = _toml(tree.texts.get(f"{prefix}pyproject.toml", ""))
    if "project" in project or "build-system" in project:
        table = project.get("project")
        extras = table.get("optional-dependencies") if isinstance(table, Mapping) else None
        own = [name for name in EXTRAS if isinstance(extras, Mapping) and name in extras]
        return "pyproject.toml", f".[{','.join(own)}]" if own else "."
    if str(PurePosixPath(prefix, "setup.py")) in tree.files:
        return "setup.py", "."
    return None


def _toml(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}
