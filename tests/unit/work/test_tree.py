"""What of a commit's files is seen from the host, in a mirror."""

from pathlib import Path
from uuid import UUID

import pytest

from bot.work import tree
from bot.work.detect.tree import Tree
from bot.work.git import GitFailed
from bot.work.repository import Repositories
from tests.fakes import git_tree

PROJECT = UUID(int=1)


async def seen(tmp_path: Path, files: git_tree.Files) -> Tree:
    git_tree.make(tmp_path / "origin", files)
    repositories = Repositories(tmp_path / "mirrors")
    await repositories.update(PROJECT, str(tmp_path / "origin"))
    base = await repositories.base(PROJECT, None)
    return await repositories.tree(PROJECT, base.commit)


async def test_files_at_the_root_and_one_below_are_listed_and_the_wanted_ones_read(tmp_path):
    found = await seen(
        tmp_path,
        {
            b"README": b"hello\n",
            b"package.json": '{"name": "ü"}'.encode(),
            b"Makefile": ("x", b"setup:\n"),
            b"web app/package.json": b"{}",
            b":(glob)*/go.mod": b"module x",
            b"src/deep/er/pyproject.toml": b"",
            b".devcontainer/rust/devcontainer.json": b"{}",
            b"link/requirements.txt": ("l", b"/etc/passwd"),
            b"pyproject.toml": ("l", b"/etc/passwd"),
            b"b\xff/go.mod": b"",
        },
    )
    assert found.files == {
        *("README", "package.json", "Makefile", "web app/package.json", ":(glob)*/go.mod"),
        *(".devcontainer/rust/devcontainer.json", "b\udcff/go.mod"),
    }
    assert found.texts == {
        "package.json": '{"name": "ü"}',
        "Makefile": "setup:\n",
        "web app/package.json": "{}",
        ".devcontainer/rust/devcontainer.json": "{}",
    }


async def test_what_is_large_is_listed_and_read_in_part_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "TEXT_BYTES_MAX", 10)
    monkeypatch.setattr(tree, "FILE_BYTES_MAX", 100)
    monkeypatch.setattr(tree, "READ_BYTES_MAX", 150)
    found = await seen(
        tmp_path,
        {
            b"Makefile": b"m" * 80,
            b"package.json": b"p" * 101,
            b"pyproject.toml": b"t" * 80,
            b"a/.nvmrc": b"22",
        },
    )
    assert found.files == {"Makefile", "package.json", "pyproject.toml", "a/.nvmrc"}
    assert found.texts == {"Makefile": "m" * 10, "a/.nvmrc": "22"}


async def test_directories_are_looked_into_up_to_a_number(tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "DIRECTORIES_MAX", 2)
    found = await seen(tmp_path, {f"d{n}/go.mod".encode(): b"" for n in range(4)})
    assert found.files == {"d0/go.mod", "d1/go.mod"}


async def test_a_commit_that_is_not_there_is_an_error(tmp_path):
    await seen(tmp_path, {b"a": b""})
    with pytest.raises(GitFailed):
        await Repositories(tmp_path / "mirrors").tree(PROJECT, "0" * 40)
