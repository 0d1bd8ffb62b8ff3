"""docs/tools.md: what the agent in a machine may ask of us."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.work import memory
from bot.work.routes import CodeHost
from bot.work.tools import asking, calls, children, reminding, serving, updates
from bot.work.tools.calls import Desk
from bot.work.tools.server import tools_of
from bot.work.tools.tool import Tool
from vmpool.network.gateway import tools_route

MIB = 1 << 20

DOCS = Path(__file__).parents[2] / "docs"


def tools_page() -> str:
    """docs/tools.md as it stands, with its tables as they are in the code."""
    page = (DOCS / "tools.md").read_text(encoding="utf-8")
    head = ("tool", "what it does, as the agent reads it", "arguments", "calls a turn")
    for title, table in (
        ("The tools", _table([head, *map(_row, _tools())])),
        ("Limits", _table([("what", "at most"), *LIMITS.items()])),
    ):
        before, mark, after = page.partition(f"## {title}\n\n")
        assert mark, f"docs/tools.md has no part {title!r}"
        page = before + mark + table + "\n\n" + after.partition("\n\n")[2]
    return page


LIMITS = {
    "one request": f"{serving.MESSAGE_BYTES_MAX // 1024} KiB;"
    f" a picture {updates.PICTURE_BYTES_MAX // MIB} MiB",
    "requests of a machine under way": f"{tools_route.OPEN_MAX}",
    "calls in a turn, refused ones too": f"{calls.CALLS_MAX}",
    "wait for an answer, of one call": f"{asking.WAIT_SECONDS:g} s",
    "pictures uploaded in a turn, and in a session": f"{updates.PICTURES_MAX},"
    f" {updates.SESSION_PICTURES_MAX}",
    "sessions started below one of people's, ever": f"{children.TREE_MAX},"
    f" {children.DEPTH_MAX} deep",
    "notes of a project": f"{memory.NOTES_MAX}, of {memory.NOTE_BYTES_MAX // 1024} KiB each",
}


def _tools() -> list[Tool[Any]]:
    async def begin(*_: Any) -> children.Child:
        raise NotImplementedError

    async def remind(*_: Any) -> reminding.Reminded:
        raise NotImplementedError

    async def headers(*_: Any) -> Mapping[str, str]:
        raise NotImplementedError

    host = CodeHost(surface="github", git_base="https://a.test", api_base="https://a.test")
    # They are described, not called.
    desk = Desk(None)  # type: ignore[arg-type]
    return tools_of(
        desk, begin=begin, remind=remind, hosts=[host], headers=headers, question_seconds=1
    )


def _row(tool: Tool[Any]) -> Sequence[str]:
    schema = tool.listed["inputSchema"]
    needed = schema.get("required", [])
    arguments = [
        f"`{name}`{'' if name in needed else ' (may be left out)'}: {one['description']}"
        for name, one in schema.get("properties", {}).items()
    ]
    return (f"`{tool.name}`", tool.about, "; ".join(arguments), str(tool.per_turn_max))


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
    )
