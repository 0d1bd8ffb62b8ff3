"""What an agent says of the files that a tool changes."""

import pytest

from adapters.agent.acp.translate import FILES_MAX, Translator


def change(path: object) -> dict[str, object]:
    return {"type": "diff", "path": path, "oldText": "a\n", "newText": "b\n"}


def files_of(*contents: object) -> list[tuple[str, ...] | None]:
    translator = Translator()
    made: list[tuple[str, ...] | None] = []
    for number, content in enumerate(contents):
        update = {
            "sessionUpdate": "tool_call" if number == 0 else "tool_call_update",
            "toolCallId": "1",
            "title": f"edit {number}",
            "status": "completed",
            "content": content,
        }
        made += [one.files for one in translator.events(update)]
    return made


@pytest.mark.parametrize(
    ("content", "files"),
    [
        (None, None),
        ([{"type": "content", "path": "/w/a"}], None),
        ([change("/w/a"), change("/w/b"), change("/w/a")], ("/w/a", "/w/b")),
        ([change(3), "odd"], None),
        ([change("/w/a\nb")], ("/w/a b",)),
        ([change(f"/w/{n}") for n in range(30)], tuple(f"/w/{n}" for n in range(FILES_MAX))),
    ],
)
def test_the_files_of_a_call_are_named_once_and_bounded(content, files):
    assert files_of(content) == [files]


def test_a_later_update_without_any_keeps_them():
    assert files_of([change("/w/a")], None) == [("/w/a",), ("/w/a",)]
