"""What a module says of itself, read off its code: one that calls itself pure has no effects."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("adapters", "bot", "scheduler", "vmpool")
EFFECTS = {
    "acp",
    "asyncio",
    "asyncssh",
    "httpcore2",
    "httpx2",
    "psycopg",
    "socket",
    "sqlalchemy",
    "sqlmodel",
    "subprocess",
    "threading",
}


def says_pure(tree: ast.Module) -> bool:
    """Whether its first sentence ends with that."""
    said = (ast.get_docstring(tree) or "").split("\n\n")[0]
    return re.search(r"[;:]\s+pure\.(\s|$)", said) is not None


def effects(tree: ast.Module) -> Iterator[str]:
    """What it does besides deciding: waits, or takes what reaches out of the process."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.split(".")[0] in EFFECTS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in EFFECTS:
            yield str(node.module)
        elif isinstance(node, ast.AsyncFunctionDef):
            yield f"async {node.name}"


def test_what_calls_itself_pure_has_no_effects():
    broken, pure = {}, 0
    for path in (one for name in PACKAGES for one in (ROOT / name).rglob("*.py")):
        code = path.read_text()
        if "pure" in code and says_pure(tree := ast.parse(code)):
            pure += 1
            if found := list(effects(tree)):
                broken[str(path.relative_to(ROOT))] = found
    assert broken == {}
    assert pure > 100


def test_effects_are_seen():
    code = (
        '"""Decides; pure."""\nimport asyncio\nfrom sqlalchemy import text\nasync def go(): ...\n'
    )
    tree = ast.parse(code)
    assert says_pure(tree)
    assert list(effects(tree)) == ["asyncio", "sqlalchemy", "async go"]
    assert not says_pure(ast.parse('"""Acts by what `plan` decides (pure)."""'))
