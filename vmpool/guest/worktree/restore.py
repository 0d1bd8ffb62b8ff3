"""Put a kept work tree into a fresh clone: HEAD, branches, index, files, conversation.

Answer: {result: "restored", branch, head, changed, files} or {result: "failed", why, detail}.
`changed` and `files` count files. It may be repeated, on a fresh clone, after a failure.
"""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable

from vmpool.guest.worktree.git import EMPTY_TREE, Process, Unable, git, git_dir_of, of_agent
from vmpool.guest.worktree.json import as_json
from vmpool.guest.worktree.scratch import SCRATCH, remove

CHUNK_BYTES = 1 << 20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Request:
    """What is asked for."""

    def __init__(self, *, directory: str, size: int) -> None:
        self.directory = directory
        self.size = size
        """Of the bundle, which is on standard input."""


def main(request: Request) -> None:
    """Serve one request."""
    serve(lambda: Restore(request).run())


def serve(work: Callable[[], dict[str, object]]) -> None:
    """Answer with what the work says of itself, or with why it failed."""
    try:
        words = work()
    except Unable as error:
        words = {"result": "failed", "why": error.why, "detail": error.detail}
    except OSError as error:
        why = "room" if error.errno in NO_ROOM else "git"
        words = {"result": "failed", "why": why, "detail": str(error)}
    sys.stdout.write(as_json(words) + "\n")


class Message:
    """What a kept commit says of itself."""

    def __init__(self, commit: bytes) -> None:
        header, _, text = commit.partition(b"\n\n")
        lines = header.decode("utf-8", "replace").splitlines()
        oids = [line.split()[1] for line in lines if line.startswith("parent ")]
        words = json.loads(text)
        self.branch: str | None = words["branch"]
        self.refs: dict[str, str] = words["refs"]
        self.left_out: list[str] = words.get("left_out", [])
        self.parents: dict[str, str] = dict(zip(words["parents"], oids, strict=True))


class Restore:
    """One restoration."""

    def __init__(self, request: Request) -> None:
        self._directory = os.path.realpath(os.fsencode(request.directory))
        self._git_dir = git_dir_of(self._directory)
        self._environment = of_agent(self._directory) | {"GIT_OPTIONAL_LOCKS": "1"}
        self._size = request.size

    def run(self) -> dict[str, object]:
        """Objects first, then refs, then what is seen of them."""
        tip = self._unbundle()
        with Objects(self._directory, self._environment) as objects:
            message = Message(objects.read(tip))
            parents, head = message.parents, message.parents.get("head")
            self._point(message, head, tip)
            self._git("read-tree", "--reset", "-u", head or EMPTY_TREE)
            changed = self._write_tree(objects, head or EMPTY_TREE, tip)
            if "index" in parents:
                self._git("read-tree", "--reset", parents["index"])
            files = self._write_files(objects, parents.get("files"))
        words: dict[str, object] = {
            "branch": message.branch,
            "head": head,
            "changed": changed,
            "files": files,
        }
        return {"result": "restored", **words}

    def _git(self, *argv: str, stdin: bytes = b"") -> bytes:
        place = ("-C", os.fsdecode(self._directory))
        return git(*place, *argv, env=self._environment, stdin=stdin)

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

    def _point(self, message: Message, head: str | None, tip: str) -> None:
        """Exactly these branches; HEAD out of the way of their changes until they are made."""
        branch, refs = message.branch, message.refs
        self._write_head(tip)
        listed = self._git("for-each-ref", "--format=%(refname)", "refs/heads").splitlines()
        removed = [b"delete " + name for name in listed if os.fsdecode(name) not in refs]
        made = [os.fsencode(f"update {name} {oid}") for name, oid in refs.items()]
        for commands in (removed, made):
            if commands:
                self._git("update-ref", "--stdin", stdin=b"\n".join([*commands, b""]))
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


class Objects:
    """One `git cat-file` for all reading of objects."""

    def __init__(self, directory: bytes, environment: dict[str, str]) -> None:
        read, asking = os.pipe()
        answering, write = os.pipe()
        argv = ["-C", os.fsdecode(directory), "cat-file", "--batch"]
        self._process = Process(argv, environment, stdin=read, stdout=write)
        os.close(read)
        os.close(write)
        self._asked = os.fdopen(asking, "wb")
        self._answers = os.fdopen(answering, "rb")

    def __enter__(self) -> "Objects":
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.close()
        self._answers.close()
        self._process.end()

    def read(self, oid: str) -> bytes:
        """What an object holds. :raises Unable: it is not there"""
        self._asked.write(oid.encode() + b"\n")
        self._asked.flush()
        words = self._answers.readline().split()
        if len(words) != 3:
            raise Unable("git", f"object {oid} is missing")
        data = self._answers.read(int(words[2]))
        self._answers.read(1)
        return data
