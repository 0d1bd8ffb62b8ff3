"""Git inside the machine: run it, read why it failed, write to it what it reads."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

PROGRAM = ("git", "-c", "core.fsmonitor=false", "-c", "core.compression=1", "-c", "gc.auto=0")
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
DETAIL_CHARACTERS = 500


class Unable(Exception):
    """It can't be done.

    `why`: `gone`, no repository; `room`, no space; `large`, over the limit; `bundle`, not whole;
    `cut`, the input ended early; `git`, what git says.
    """

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.detail = detail


def git_dir_of(directory: bytes) -> bytes:
    """Where the repository of a work tree is. :raises Unable: nowhere"""
    path = os.path.join(directory, b".git")
    if os.path.isfile(path):
        with open(path, "rb") as file:
            path = os.path.join(directory, file.read().removeprefix(b"gitdir: ").strip())
    if not os.path.isdir(os.path.join(path, b"objects")):
        raise Unable("gone")
    return os.path.realpath(path)


def of_agent(directory: bytes) -> dict[str, str]:
    """Git as the agent has it, but reading only, and not looking above the directory."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return {
        **own,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CEILING_DIRECTORIES": os.fsdecode(os.path.dirname(directory)),
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def of_repository(git_dir: bytes) -> dict[str, str]:
    """Git in one repository, whatever else is configured."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return {
        **own,
        "GIT_DIR": os.fsdecode(git_dir),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "LC_ALL": "C",
    }


def git(*argv: str, env: Mapping[str, str], **options: Any) -> bytes:
    """What git says. :raises Unable: it failed"""
    done = subprocess.run([*PROGRAM, *argv], capture_output=True, check=False, env=env, **options)
    if done.returncode != 0:
        raise failure(done.stderr)
    return bytes(done.stdout)


def failure(stderr: bytes) -> Unable:
    """What a git that failed means."""
    said = stderr.decode("utf-8", "backslashreplace").strip()
    if "not a git repository" in said:
        return Unable("gone", said[-DETAIL_CHARACTERS:])
    full = ("No space left", "Disk quota", "Read-only file system", "File too large")
    why = "room" if any(words in said for words in full) else "git"
    return Unable(why, said[-DETAIL_CHARACTERS:])


def quoted(path: bytes) -> bytes:
    """A path as git reads it in its streams, whatever bytes it has."""
    plain = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + plain + b'"'


class Importer:
    """One `git fast-import`: blobs and commits without an index, filters or limits on names."""

    def __init__(self, git_dir: bytes) -> None:
        self._process = subprocess.Popen(
            [*PROGRAM, "fast-import", "--quiet", "--force", "--date-format=raw"],
            env=of_repository(git_dir),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._mark = 0

    def blob(self, data: bytes) -> bytes:
        """Store a blob and return its mark."""
        self._mark += 1
        self._write(b"blob\nmark :%d\ndata %d\n%s\n" % (self._mark, len(data), data))
        return b":%d" % self._mark

    def commit(
        self,
        ref: str,
        message: bytes,
        *,
        onto: bytes | None,
        merged: Iterable[bytes] = (),
        changes: Iterable[bytes],
    ) -> bytes:
        """Store a commit: the tree of `onto`, or none, and these changes. Returns its mark."""
        self._mark += 1
        lines = [b"commit %s" % ref.encode(), b"mark :%d" % self._mark, b"committer " + SIGNATURE]
        lines.append(b"data %d\n%s" % (len(message), message))
        if onto is not None:
            lines.append(b"from " + onto)
        lines += [b"merge " + parent for parent in merged]
        self._write(b"\n".join([*lines, *changes, b"", b""]))
        return b":%d" % self._mark

    def close(self) -> None:
        """Wait until everything is stored. :raises Unable: it is not"""
        _, stderr = self._process.communicate()
        if self._process.returncode != 0:
            raise failure(stderr)

    def give_up(self) -> None:
        """Leave nothing running. Idempotent."""
        self._process.kill()
        self._process.wait()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            self.close()
            raise Unable("git", "fast-import ended") from None


SIGNATURE = b"ona <ona@localhost> 4102444800 +0000"
"""Dated later than any commit: git walks history by date, and the kept one has to come first."""
