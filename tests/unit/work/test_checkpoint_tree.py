"""What is read from a work tree is put back into a fresh clone exactly: any names, any bytes."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import git_tree
from tests.fakes.git_tree import Files
from tests.fakes.kept_tree import another, begin, restore, save

NAMES = [
    b"a",
    b"b",
    b"c.txt",
    b"n\nl",
    b"\xff\xfe",
    b" s p ",
    b'"q"',
    b"-x",
    b"b\\t",
    "ü€".encode(),
]

paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(b"/".join)
contents = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"", b"one\r\ntwo\r\n", b"text\n", b"\0\xff" * 2000]),
)
values = st.one_of(
    contents,
    st.tuples(st.just("x"), contents),
    st.tuples(st.just("l"), st.sampled_from([b"a", b"nowhere", b"../b", b"\xfe\n"])),
)


def consistent(files: Files) -> dict[bytes, Any]:
    """Without those that need a directory where another is a file."""
    return {
        path: value
        for path, value in files.items()
        if not any(path.startswith(other + b"/") for other in files)
    }


trees = st.dictionaries(paths, values, max_size=6).map(consistent)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    base=trees,
    head=st.none() | trees,
    staged=st.none() | trees,
    now=trees,
    detached=st.booleans(),
)
def test_any_work_tree_comes_back_as_it_was(
    base: Files, head: Files | None, staged: Files | None, now: Files, *, detached: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        machine = begin(root, base)
        if detached:
            git_tree.git(machine.directory, "checkout", "-q", "--detach")
        if head is not None:
            git_tree.replace(machine.directory, head)
            git_tree.commit(machine.directory)
        if staged is not None:
            git_tree.replace(machine.directory, staged)
            git_tree.git(machine.directory, "add", "-A")
        git_tree.replace(machine.directory, now)
        before = git_tree.seen(machine.directory)
        index = (machine.directory / ".git" / "index").read_bytes()

        kept = asyncio.run(save(machine))

        assert kept.answer["result"] == "tree", kept.answer
        assert kept.answer["left_out"] == []
        assert (machine.directory / ".git" / "index").read_bytes() == index
        assert git_tree.seen(machine.directory) == before
        fresh = another(root)
        answer = asyncio.run(restore(fresh, kept))
        assert answer["result"] == "restored", answer
        assert git_tree.seen(fresh.directory) == before
        again = asyncio.run(save(fresh, tree=kept.answer["tree"]))
        assert again.answer == {"result": "same"}
