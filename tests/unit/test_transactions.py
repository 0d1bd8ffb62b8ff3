"""Invariant 5, read off the code: what is awaited in a transaction is given the transaction.

A function that gets no transaction can only speak to something else, and would hold rows locked as
long as that takes.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [path for name in ("bot", "scheduler", "vmpool") for path in (ROOT / name).rglob("*.py")]
TX = "tx"


def _opens(node: ast.AST) -> bool:
    return isinstance(node, ast.AsyncWith) and any(
        isinstance(item.optional_vars, ast.Name) and item.optional_vars.id == TX
        for item in node.items
    )


def _is_given(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    arguments = node.args
    return TX in {
        one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    }


def _mentions(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Name) and one.id == TX for one in ast.walk(node))


def strangers(tree: ast.AST) -> Iterator[int]:
    """Lines with something awaited inside a transaction that does not get it."""
    for block in ast.walk(tree):
        if not (_opens(block) or _is_given(block)):
            continue
        for body in block.body:  # type: ignore[attr-defined]
            for node in ast.walk(body):
                if isinstance(node, ast.Await) and not _mentions(node):
                    yield node.lineno
                if isinstance(node, ast.AsyncWith | ast.AsyncFor) and not _mentions(
                    node.items[0] if isinstance(node, ast.AsyncWith) else node.iter
                ):
                    yield node.lineno


def test_no_network_inside_a_transaction():
    found = {path: list(strangers(ast.parse(path.read_text(encoding="utf-8")))) for path in FILES}
    assert {str(path): lines for path, lines in found.items() if lines} == {}
    assert len(FILES) > 100


def test_a_stranger_would_be_found():
    code = """
async def accept(self, tx):
    await tx.execute(1)
    await self.post("hello")

async def also(self):
    async with self.begin() as tx:
        await add(tx)
        async with self.client.stream() as stream:
            pass
"""
    assert list(strangers(ast.parse(code))) == [4, 9]
