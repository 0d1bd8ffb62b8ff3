"""Take the work tree back to what was kept of it earlier: in place, beside what git ignores.

Answer: {result: "undone", branch, was, head, count, paths, stayed} or {result: "failed", why,
detail}. HEAD is at `head` and was at `was`; `count` files are as they were before, `paths` names
the first of them; `stayed` new files were left, because earlier ones like them may have had no room
in what was kept.

It is done once for a key: its answer lies in the repository and is given again. Until it is whole
the repository does not say that it is ready, so whoever finds it half done makes it anew.
"""

import contextlib
import hashlib
import os
import re
import stat

from vmpool.guest.worktree.git import EMPTY_TREE, Unable
from vmpool.guest.worktree.json import as_json
from vmpool.guest.worktree.names import printable
from vmpool.guest.worktree.restore import Message, Objects, Restore, serve
from vmpool.guest.worktree.restore import Request as OfBundle
from vmpool.guest.worktree.scratch import remove

ANSWERED = b"ona-undone"
"""The last answer: its key on one line, the answer on the next."""
PATHS_MAX = 20
CHUNK_BYTES = 1 << 20
OTHERS = ("ls-files", "--others", "--exclude-standard", "-z")
UNDER_WAY = (
    b"MERGE_HEAD",
    b"MERGE_MODE",
    b"MERGE_MSG",
    b"SQUASH_MSG",
    b"AUTO_MERGE",
    b"CHERRY_PICK_HEAD",
    b"REVERT_HEAD",
    b"BISECT_LOG",
    b"BISECT_START",
    b"rebase-merge",
    b"rebase-apply",
    b"sequencer",
)
"""What git notes of a merge and the like, of which the files are taken back."""
LOCKS = (b"index.lock", b"HEAD.lock")
"""Left by a git that was killed; no turn runs now."""
CROWDED = re.compile(r"no room in|more than \d+ files")
"""Said of files that were not kept for the others' sake."""
WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "ona"), ("EMAIL", "ona@localhost"), ("DATE", "@4102444800 +0000"))
}


class Request:
    """What is asked for."""

    def __init__(
        self,
        *,
        directory: str,
        size: int,
        base: str,
        branch: str,
        key: str,
        file_bytes_max: int,
        marks: list[str],
    ) -> None:
        self.directory = directory
        self.size = size
        """Of the bundle, which is on standard input; 0: back to the beginning."""
        self.base = base
        """The commit of the beginning; empty: the one that the clone was made at."""
        self.branch = branch
        """The full name of the branch at the beginning."""
        self.key = key
        self.file_bytes_max = file_bytes_max
        """Larger untracked files are never kept, and stay."""
        self.marks = marks
        """Files of the repository that say it is ready; only the last one is made again."""


def main(request: Request) -> None:
    """Serve one request."""
    serve(lambda: Undo(request).run())


class Undo(Restore):
    """One way back."""

    def __init__(self, request: Request) -> None:
        super().__init__(OfBundle(directory=request.directory, size=request.size))
        self._request = request
        # Whoever goes on after a loss may make the repository anew while this still runs: then it
        # works in the old one, wherever that was moved.
        os.chdir(self._directory)
        self._git_dir = os.path.relpath(self._git_dir, self._directory)
        self._directory = b"."

    def run(self) -> dict[str, object]:
        """Look, change, say what changed."""
        self._clear()
        tip = self._unbundle() if self._size else self._beginning()
        if (earlier := self._answered()) is not None:
            return earlier
        with Objects(self._directory, self._environment) as objects:
            message = Message(objects.read(tip))
            head = message.parents.get("head") or EMPTY_TREE
            loose, was = self._listed(*OTHERS), self._now()
            before = self._seen(self._concerned(head, tip) | loose)
            self._unready()
            self._make_way(loose, kept := self._of_tree(tip))
            self._change(objects, message, tip)
            stayed = self._remove_loose(loose - kept, message)
            self._write_files(objects, message.parents.get("files"))
        changed = sorted(path for path, was in before.items() if self._digest(path) != was)
        words: dict[str, object] = {
            "result": "undone",
            "branch": message.branch,
            "was": was,
            "head": message.parents.get("head"),
            "count": len(changed),
            "paths": [printable(path) for path in changed[:PATHS_MAX]],
            "stayed": stayed,
        }
        self._answer(as_json(words))
        return words

    # -- before ------------------------------------------------------------------------------

    def _clear(self) -> None:
        for name in LOCKS:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._git_dir, name))

    def _beginning(self) -> str:
        """A kept commit of how the session began, as if it had been kept."""
        base = self._request.base
        if not base:
            base = self._git("rev-parse", "--verify", "-q", "refs/ona/base").decode().strip()
        branch = self._request.branch
        message = {"branch": branch, "parents": ["head"], "refs": {branch: base}, "left_out": []}
        self._environment |= WHO
        argv = ("commit-tree", f"{base}^{{tree}}", "-p", base)
        return self._git(*argv, stdin=as_json(message).encode()).decode().strip()

    def _answered(self) -> "dict[str, object] | None":
        import json

        try:
            with open(os.path.join(self._git_dir, ANSWERED), encoding="ascii") as file:
                key, answer = file.read().split("\n", 1)
            found: dict[str, object] = json.loads(answer)
        except (OSError, ValueError):
            return None
        return found if key == self._request.key else None

    def _now(self) -> "str | None":
        try:
            return self._git("rev-parse", "--verify", "-q", "HEAD^{commit}").decode().strip()
        except Unable:
            return None

    def _concerned(self, head: str, tip: str) -> set[bytes]:
        """Tracked files that may differ, now or then."""
        now = self._now() or EMPTY_TREE
        found = self._listed("diff-index", "--name-only", "-z", now)
        for one, other in ((now, head), (head, f"{tip}^{{tree}}")):
            found |= self._listed(
                "diff-tree", "-r", "-z", "--no-renames", "--name-only", one, other
            )
        return found

    def _listed(self, *argv: str) -> set[bytes]:
        return set(self._git(*argv).split(b"\0")) - {b""}

    def _of_tree(self, tip: str) -> set[bytes]:
        return self._listed("ls-tree", "-r", "-z", "--name-only", tip)

    def _seen(self, paths: set[bytes]) -> dict[bytes, str]:
        return {path: self._digest(path) for path in paths}

    def _digest(self, path: bytes) -> str:
        """What tells whether a file is another one; empty: there is none."""
        at = os.path.join(self._directory, path)
        try:
            found = os.lstat(at)
            if stat.S_ISLNK(found.st_mode):
                return "link " + ascii(os.readlink(at))
            if not stat.S_ISREG(found.st_mode):
                return "other"
            digest = hashlib.sha1(usedforsecurity=False)
            with open(at, "rb") as file:
                while data := file.read(CHUNK_BYTES):
                    digest.update(data)
        except OSError:
            return ""
        return f"{found.st_mode & stat.S_IXUSR} {digest.hexdigest()}"

    # -- the change --------------------------------------------------------------------------

    def _unready(self) -> None:
        for name in self._request.marks:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._git_dir, os.fsencode(name)))

    def _change(self, objects: Objects, message: Message, tip: str) -> None:
        for name in UNDER_WAY:
            at = os.path.join(self._git_dir, name)
            if os.path.isdir(at):
                remove(at)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(at)
        head = message.parents.get("head") or EMPTY_TREE
        if any(line.startswith(("branch ", "and ")) for line in message.left_out):
            message.refs = {**self._branches(), **message.refs}
        self._point(message, message.parents.get("head"), tip)
        self._git("read-tree", "--reset", "-u", head)
        self._write_tree(objects, head, tip)
        if "index" in message.parents:
            self._git("read-tree", "--reset", message.parents["index"])

    def _branches(self) -> dict[str, str]:
        lines = self._git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads")
        words = (line.split(b" ", 1) for line in lines.splitlines())
        return {os.fsdecode(name): oid.decode() for oid, name in words}

    def _make_way(self, loose: set[bytes], kept: set[bytes]) -> None:
        """Remove new files where a directory was, and those in a directory where a file was."""
        above = {parent for path in kept for parent in parents_of(path)}
        for path in loose:
            if path in above or any(parent in kept for parent in parents_of(path)):
                self._remove(os.path.join(self._directory, path))

    def _remove_loose(self, loose: set[bytes], message: Message) -> int:
        """Remove new files that git neither knows nor ignores, by its rules of now and of then."""
        loose &= self._listed(*OTHERS, "--cached")
        stayed = 0
        crowded = any(CROWDED.search(line) for line in message.left_out)
        for path in loose:
            at = os.path.join(self._directory, path)
            if path.endswith(b"/"):
                continue
            try:
                large = os.lstat(at).st_size > self._request.file_bytes_max
            except OSError:
                continue
            if large or crowded:
                stayed += 1
            else:
                self._remove(at)
        return stayed

    # -- after -------------------------------------------------------------------------------

    def _answer(self, text: str) -> None:
        """Keep the answer, and only then say that the repository is ready."""
        with open(os.path.join(self._git_dir, ANSWERED), "w", encoding="ascii") as file:
            file.write(f"{self._request.key}\n{text}")
            file.flush()
            os.fsync(file.fileno())
        with open(os.path.join(self._git_dir, os.fsencode(self._request.marks[-1])), "wb"):
            pass


def parents_of(path: bytes) -> list[bytes]:
    """The directories that a path is in."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]
