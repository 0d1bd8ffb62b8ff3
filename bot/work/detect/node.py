"""What a directory's JavaScript files say of its set-up."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bot.work.detect.tree import Tree

LOCKS = {
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
}
"""Which manager a file is of; the first of them that is there counts."""
LOCKED = {
    "npm": "npm ci",
    "pnpm": "pnpm install --frozen-lockfile",
    "yarn": "yarn install --frozen-lockfile",
}
BERRY = "yarn install --immutable"
"""From version 2 on."""
UNLOCKED = {
    "npm": "npm install --no-package-lock",
    "pnpm": "pnpm install --lockfile=false",
    "yarn": "yarn install --no-lockfile",
}
PNPM_OF_LOCK = {"5": "7", "6": "8"}
"""The newest version that still reads a lock file of this one; those after it: any."""
DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "workspaces")
NODES = ("20", "22", "24")
"""Versions that a project may name; for any other it gets the one that is usual."""

_MANAGER = re.compile(r"(?P<name>npm|pnpm|yarn)@(?P<version>\d+(\.\d+){0,2}(-[0-9A-Za-z.]+)?)")
_LOCK_VERSION = re.compile(r"^lockfileVersion: *'?(\d+)", re.MULTILINE)


def found(tree: Tree, prefix: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """See `bot.work.detect.guessing.Kind`."""
    if f"{prefix}package.json" not in tree.files:
        return
    package = _json(tree.texts.get(f"{prefix}package.json", ""))
    lock = next((name for name in LOCKS if f"{prefix}{name}" in tree.files), None)
    if lock is None and not any(package.get(key) for key in DEPENDENCIES):
        return
    manager, version = _manager(tree, prefix, package, lock)
    tools = (_node(tree, prefix), *_tool(manager, version))
    if lock is None or LOCKS[lock] != manager:
        yield "package.json", UNLOCKED[manager], tools
    elif manager == "yarn" and _is_berry(tree, prefix, version):
        yield lock, BERRY, tools
    else:
        yield lock, LOCKED[manager], tools


def _manager(
    tree: Tree, prefix: str, package: Mapping[str, Any], lock: str | None
) -> tuple[str, str]:
    """Which one, and its version, empty when nobody says."""
    said = _MANAGER.match(str(package.get("packageManager", "")))
    if said is not None:
        return said["name"], said["version"]
    manager = LOCKS[lock] if lock else "npm"
    if manager == "pnpm":
        lock_of = _LOCK_VERSION.search(tree.texts.get(f"{prefix}pnpm-lock.yaml", ""))
        return manager, PNPM_OF_LOCK.get(lock_of[1], "") if lock_of else ""
    if manager == "yarn":
        return manager, "4" if f"{prefix}.yarnrc.yml" in tree.files else "1"
    return manager, ""


def _tool(manager: str, version: str) -> tuple[str, ...]:
    """Node brings an npm, and any version of it will do."""
    if manager == "npm":
        return ()
    return (f"{manager}@{version}" if version else manager,)


def _is_berry(tree: Tree, prefix: str, version: str) -> bool:
    return f"{prefix}.yarnrc.yml" in tree.files or not version.startswith(("0", "1"))


def _node(tree: Tree, prefix: str) -> str:
    """`node`, with the version that the project names if it can be had."""
    for name in (".nvmrc", ".node-version"):
        for place in (prefix, ""):
            said = re.match(r"\s*v?(\d+)", tree.texts.get(f"{place}{name}", ""))
            if said is not None and said[1] in NODES:
                return f"node@{said[1]}"
    return "node"


def _json(text: str) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
