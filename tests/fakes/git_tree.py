"""Repositories for tests: made, changed and compared, with any bytes as names."""

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

WHO = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_OPTIONAL_LOCKS": "0",
}

Files = Mapping[bytes, bytes | tuple[str, bytes]]
"""Path to content; `("x", content)` is executable, `("l", target)` a symlink."""


def git(directory: Path, *argv: str | bytes, env: Mapping[str, str] | None = None) -> bytes:
    """What git says in this directory."""
    done = subprocess.run(
        ["git", *argv],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **WHO, **(env or {})},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


def line(directory: Path, *argv: str) -> str:
    """The one line that git says."""
    return git(directory, *argv).decode().strip()


def write(directory: Path, files: Files) -> None:
    """Write these files over what is there."""
    root = os.fsencode(directory)
    for path, value in files.items():
        at = os.path.join(root, path)
        os.makedirs(os.path.dirname(at), exist_ok=True)
        if os.path.lexists(at):
            os.unlink(at)
        kind, data = value if isinstance(value, tuple) else ("f", value)
        if kind == "l":
            os.symlink(data, at)
            continue
        with open(at, "wb") as file:
            file.write(data)
        if kind == "x":
            os.chmod(at, 0o755)


def replace(directory: Path, files: Files) -> None:
    """Let the work tree hold exactly these files."""
    for entry in os.scandir(os.fsencode(directory)):
        if entry.name != b".git":
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
    write(directory, files)


def commit(directory: Path, files: Files | None = None, message: str = "Change") -> str:
    """Commit the whole work tree, after writing `files`."""
    if files is not None:
        write(directory, files)
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "--allow-empty", "-m", message)
    return line(directory, "rev-parse", "HEAD")


def make(directory: Path, files: Files, *, branch: str = "main") -> str:
    """Make a repository with one commit."""
    directory.mkdir(parents=True, exist_ok=True)
    git(directory, "init", "-q", "-b", branch)
    return commit(directory, files, "First")


def on_disk(directory: Path) -> dict[bytes, tuple[str, bytes]]:
    """Every file below it that is not git's, as `write` takes it."""
    found: dict[bytes, tuple[str, bytes]] = {}
    root = os.fsencode(directory)
    for parent, names, files in os.walk(root):
        if parent == root and b".git" in names:
            names.remove(b".git")
        links = [name for name in names if os.path.islink(os.path.join(parent, name))]
        for name in [*files, *links]:
            at = os.path.join(parent, name)
            mode = os.lstat(at).st_mode
            path = os.path.relpath(at, root)
            if stat.S_ISLNK(mode):
                found[path] = ("l", os.readlink(at))
            else:
                with open(at, "rb") as file:
                    found[path] = ("x" if mode & stat.S_IXUSR else "f", file.read())
    return found


def seen(directory: Path) -> dict[str, object]:
    """Everything that people see of a work tree and its repository."""
    head = (directory / ".git" / "HEAD").read_text()
    return {
        "files": on_disk(directory),
        "head": head,
        "status": git(directory, "status", "--porcelain=v2", "--branch", "-z", "-uall"),
        "index": git(directory, "ls-files", "-s", "-z"),
        "branches": git(directory, "for-each-ref", "refs/heads"),
    }
