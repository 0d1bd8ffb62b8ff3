"""Put a kept work tree into a fresh clone: HEAD, branches, index, files, conversation.

Request: {directory, size}, then the bundle of `size` bytes.

Answer: {result: "restored", branch, head, changed, files} or {result: "failed", why, detail}.
`changed` and `files` count files. It may be repeated, on a fresh clone, after a failure.
"""

import contextlib
import errno
import json
import os
import subprocess
import sys
from typing import Any

from vmpool.guest.worktree.git import (
    EMPTY_TREE,
    PROGRAM,
    Unable,
    failure,
    git,
    git_dir_of,
    of_agent,
)
from vmpool.guest.worktree.scratch import SCRATCH, remove

CHUNK_BYTES = 1 << 20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def main() -> None:
    """Serve one request."""
    request = json.loads(sys.stdin.buffer.readline())
    try:
        words = Restore(request).run()
    except Unable as error:
        words = {"result": "failed", "why": error.why, "detail": error.detail}
    except OSError as error:
        why = "room" if error.errno in NO_ROOM else "git"
        words = {"result": "failed", "why": why, "detail": str(error)}
    sys.stdout.write(json.dumps(words) + "\n")


class Restore:
    """One restoration."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._directory = os.path.realpath(os.fsencode(request["directory"]))
        self._git_dir = git_dir_of(self._directory)
        self._environment = of_agent(self._directory) | {"GIT_OPTIONAL_LOCKS": "1"}
        self._size = int(request["size"])

    def run(self) -> dict[str, Any]:
        """Objects first, then refs, then what is seen of them."""
        tip = self._unbundle()
        with Objects(self._directory, self._environment) as objects:
            commit = objects.read(tip)
            parents, message = parse(commit)
            head = parents.get("head")
            self._point(message["branch"], head, message["refs"], tip)
            self._git("read-tree", "--reset", "-u", head or EMPTY_TREE)
            changed = self._write_tree(objects, head or EMPTY_TREE, tip)
            if "index" in parents:
                self._git("read-tree", "--reset", parents["index"])
            files = self._write_files(objects, parents.get("files"))
        words = {"branch": message["branch"], "head": head, "changed": changed, "files": files}
        return {"result": "restored", **words}

    def _git(self, *argv: str, **options: Any) -> bytes:
        return git(*argv, cwd=self._directory, env=self._environment, **options)

    def _unbundle(self) -> str:
        scratch = os.path.join(self._git_dir, SCRATCH)
        remove(scratch)
        os.mkdir(scratch)
        path = os.path.join(scratch, b"bundle")
        try:
            left = self._size
            with open(path, "wb") as file:
                while left and (data := sys.stdin.buffer.read(min(left, CHUNK_BYTES))):
                    file.write(data)
                    left -= len(data)
            if left:
                raise Unable("cut", f"{left} bytes did not arrive")
            try:
                said = self._git("bundle", "unbundle", os.fsdecode(path))
            except Unable as error:
                raise Unable("bundle" if error.why == "git" else error.why, error.detail) from None
            for line in said.splitlines():
                oid, name = line.split(b" ", 1)
                if name == b"refs/ona/tree":
                    return oid.decode()
            raise Unable("bundle", "it has no tree")
        finally:
            remove(scratch)

    def _point(self, branch: str | None, head: str | None, refs: dict[str, str], tip: str) -> None:
        """Exactly these branches; HEAD out of the way of their changes until they are made."""
        self._write_head(tip)
        listed = self._git("for-each-ref", "--format=%(refname)", "refs/heads").splitlines()
        removed = [b"delete " + name for name in listed if os.fsdecode(name) not in refs]
        made = [os.fsencode(f"update {name} {oid}") for name, oid in refs.items()]
        for commands in (removed, made):
            if commands:
                self._git("update-ref", "--stdin", input=b"\n".join([*commands, b""]))
        self._write_head(f"ref: {branch}" if branch else head or tip)

    def _write_head(self, text: str) -> None:
        with open(os.path.join(self._git_dir, b"HEAD"), "wb") as file:
            file.write(os.fsencode(text + "\n"))

    def _write_tree(self, objects: "Objects", head: str, tip: str) -> int:
        raw = self._git("diff-tree", "-r", "-z", "--no-renames", "--raw", head, f"{tip}^{{tree}}")
        fields = raw.split(b"\0")
        changes = [
            (path, words.split()[1], words.split()[3].decode())
            for words, path in zip(fields[::2], fields[1::2], strict=False)
        ]
        for path, _, _ in changes:
            self._remove(os.path.join(self._directory, path))
        for path, mode, oid in changes:
            if mode != b"000000":
                put(os.path.join(self._directory, path), mode, oid, objects)
        return len(changes)

    def _remove(self, at: bytes) -> None:
        try:
            os.unlink(at)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        parent = os.path.dirname(at)
        with contextlib.suppress(OSError):
            while parent != self._directory:
                os.rmdir(parent)
                parent = os.path.dirname(parent)

    def _write_files(self, objects: "Objects", commit: str | None) -> int:
        if commit is None:
            return 0
        home = os.fsencode(os.path.expanduser("~"))
        records = self._git("ls-tree", "-r", "-z", commit).split(b"\0")[:-1]
        for record in records:
            words, path = record.split(b"\t", 1)
            at = os.path.join(home, path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(at)
            put(at, words.split()[0], words.split()[2].decode(), objects, private=True)
        return len(records)


def put(at: bytes, mode: bytes, oid: str, objects: "Objects", *, private: bool = False) -> None:
    """One file, symlink or place of a submodule, where there is nothing."""
    if mode == b"160000":
        os.makedirs(at, exist_ok=True)
        return
    os.makedirs(os.path.dirname(at), mode=0o700 if private else 0o777, exist_ok=True)
    data = objects.read(oid)
    if mode == b"120000":
        os.symlink(data, at)
        return
    permitted = 0o600 if private else 0o777 if mode == b"100755" else 0o666
    descriptor = os.open(at, os.O_WRONLY | os.O_CREAT | os.O_EXCL, permitted)
    with open(descriptor, "wb") as file:
        file.write(data)


def parse(commit: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """The parents by their roles, and the message."""
    header, _, text = commit.partition(b"\n\n")
    lines = header.decode("utf-8", "replace").splitlines()
    parents = [line.split()[1] for line in lines if line.startswith("parent ")]
    message = json.loads(text)
    return dict(zip(message["parents"], parents, strict=True)), message


class Objects:
    """One `git cat-file` for all reading of objects."""

    def __init__(self, directory: bytes, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [*PROGRAM, "cat-file", "--batch"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> "Objects":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self, oid: str) -> bytes:
        """What an object holds. :raises Unable: it is not there"""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(oid.encode() + b"\n")
        self._process.stdin.flush()
        words = self._process.stdout.readline().split()
        if len(words) != 3:
            raise failure(b"object " + oid.encode() + b" is missing")
        data = self._process.stdout.read(int(words[2]))
        self._process.stdout.read(1)
        return data
