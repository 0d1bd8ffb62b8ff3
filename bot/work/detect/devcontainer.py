"""A repository's devcontainer.json: which one counts, and what it asks for that is not done."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.work.detect.tree import Tree

DEFAULTS = (".devcontainer/devcontainer.json", ".devcontainer.json")
"""Where it is looked for, in this order; then in the folders of `.devcontainer`, by name."""
NAMED = re.compile(r"\.devcontainer/[^/]+/devcontainer\.json")
ASKED = (
    *("image", "build", "dockerFile", "dockerComposeFile", "features"),
    *("onCreateCommand", "updateContentCommand", "postCreateCommand", "postStartCommand"),
    *("containerEnv", "remoteEnv", "remoteUser", "mounts", "forwardPorts"),
)
"""Keys that change what runs in a machine. `customizations` and the like are for editors."""

_STRING = r'"(?:\\.|[^"\\])*(?:"|\Z)'
# What is never closed reaches to the end: no text is read more than once.
_STRING_OR_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_STRING_OR_COMMA = re.compile(rf"{_STRING}|,(?=\s*[}}\]])", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Devcontainer:
    """The one that counts."""

    path: str
    asks: tuple[str, ...] | None
    """The keys in it that matter to a machine; None: it is no JSON object."""

    @property
    def said(self) -> str:
        """What it asks for, for a log."""
        return "no JSON object" if self.asks is None else ", ".join(self.asks)


def devcontainer_of(tree: Tree) -> Devcontainer | None:
    """The repository's one; None: it has none."""
    named = sorted(path for path in tree.texts if NAMED.fullmatch(path))
    path = next((path for path in (*DEFAULTS, *named) if path in tree.texts), None)
    if path is None:
        return None
    config = parsed(tree.texts[path])
    asks = None if config is None else tuple(key for key in ASKED if key in config)
    return Devcontainer(path=path, asks=asks)


def parsed(text: str) -> Mapping[str, Any] | None:
    """JSON with comments and commas too many; None: it isn't, or holds no object."""
    bare = _STRING_OR_COMMENT.sub(_kept, text.removeprefix("\ufeff"))
    try:
        said = json.loads(_STRING_OR_COMMA.sub(_kept, bare))
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _kept(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else " "
