"""What git and the disk say about a work tree at one moment; nothing is written."""

import os
import stat

from vmpool.guest.worktree.git import git, git_dir_of, of_agent, said_by, start

STATUS = ("--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames")
REFS = ("refs/heads", "refs/ona/base", "refs/stash")
UNDER_WAY = {
    b"MERGE_HEAD": "merge",
    b"rebase-merge": "rebase",
    b"rebase-apply": "rebase",
    b"CHERRY_PICK_HEAD": "cherry-pick",
    b"REVERT_HEAD": "revert",
    b"BISECT_LOG": "bisect",
}
REPOSITORY_WITHIN = "a repository of its own"


class Request:
    """What is asked for."""

    def __init__(
        self,
        *,
        directory: str,
        base: str | None,
        tree: str | None,
        bytes_max: int,
        file_bytes_max: int,
        files_max: int,
        files: list[str],
    ) -> None:
        self.directory = directory
        self.base = base
        """Of the last checkpoint."""
        self.tree = tree
        """Of the last checkpoint."""
        self.bytes_max = bytes_max
        """Of the bundle."""
        self.file_bytes_max = file_bytes_max
        """Of one untracked file."""
        self.files_max = files_max
        self.files = files
        """Conversation files: globs below the home directory."""


class File:
    """A file that differs from HEAD, or a conversation file."""

    def __init__(self, kind: str, path: bytes, at: bytes, found: os.stat_result) -> None:
        self.kind = kind
        """`changed`, `files` or `untracked`; in this order they are kept."""
        self.path = path
        self.at = at
        self.stat = found


class Staged:
    """An entry of the index that differs from HEAD; mode 000000: removed."""

    def __init__(self, path: bytes, mode: bytes, oid: bytes) -> None:
        self.path = path
        self.mode = mode
        self.oid = oid


class Look:
    """The work tree that is asked for. :raises Unable: there is none"""

    def __init__(self, request: Request) -> None:
        self.directory = os.path.realpath(os.fsencode(request.directory))
        self.git_dir = git_dir_of(self.directory)
        self.branch = branch_of(self.git_dir)
        self.head: str | None = None
        self.base: str | None = None
        self.refs: dict[str, str] = {}
        self.files: list[File] = []
        self.removed: list[bytes] = []
        self.staged: list[Staged] = []
        self.left: list[tuple[bytes, str]] = []
        """Paths that are not kept, and why."""
        self.notes: list[str] = []
        """What else is not kept."""
        self._request = request
        self._tracked_paths: set[bytes] = set()
        self._plain: dict[bytes, bool] = {}
        for record in self._records():
            self._read(record)
        self._conversation(request.files)
        self._under_way()

    def _records(self) -> list[bytes]:
        env, place = of_agent(self.directory), ("-C", os.fsdecode(self.directory))
        listing = ("for-each-ref", "--format=%(objectname) %(refname)", *REFS)
        refs = start(*place, *listing, env=env)
        try:
            status = git(*place, "status", *STATUS, env=env)
        finally:
            listed = said_by(*refs)
        for line in listed.splitlines():
            oid, name = line.split(b" ", 1)
            self._ref(oid.decode(), os.fsdecode(name))
        # Untracked ones last: a path may be both removed from the index and there.
        return sorted(status.split(b"\0"), key=lambda record: record.startswith(b"? "))

    def _ref(self, oid: str, name: str) -> None:
        if name == "refs/ona/base":
            self.base = oid
        elif name == "refs/stash":
            self.notes.append("stashed changes")
        else:
            self.refs[name] = oid

    def _read(self, record: bytes) -> None:
        if record.startswith(b"# branch.oid "):
            oid = record.split()[2].decode()
            self.head = None if oid == "(initial)" else oid
        elif record.startswith(b"1 "):
            words = record.split(b" ", 8)
            if not words[1].startswith(b"."):
                self.staged.append(Staged(words[8], words[4], words[7]))
            self._tracked(words[8], words[1], words[2])
        elif record.startswith(b"u "):
            words = record.split(b" ", 10)
            self._tracked(words[10], words[1], words[2])
        elif record.startswith(b"? "):
            self._untracked(record[2:])

    def _tracked(self, path: bytes, change: bytes, submodule: bytes) -> None:
        if submodule.startswith(b"S"):
            if submodule != b"S...":
                self.left.append((path, REPOSITORY_WITHIN))
            return
        found = None if change.endswith(b"D") and change != b"DD" else self._found(path)
        if found is None:
            self.removed.append(path)
        else:
            self._tracked_paths.add(path)
            self._add("changed", path, found)

    def _untracked(self, path: bytes) -> None:
        if path.endswith(b"/"):
            self.left.append((path, REPOSITORY_WITHIN))
            return
        if path in self._tracked_paths:
            return
        found = self._found(path)
        if found is None:
            return
        largest = self._request.file_bytes_max
        if found.st_size > largest:
            why = f"{size(found.st_size)}, more than {size(largest)}"
            self.left.append((path, why))
        else:
            self._add("untracked", path, found)

    def _found(self, path: bytes) -> os.stat_result | None:
        """The file itself; not one behind a symlink that stands where a directory was."""
        at = os.path.join(self.directory, path)
        parent = os.path.dirname(at)
        if parent not in self._plain:
            self._plain[parent] = os.path.realpath(parent) == parent
        if not self._plain[parent]:
            return None
        try:
            found = os.lstat(at)
        except OSError:
            return None
        return None if stat.S_ISDIR(found.st_mode) else found

    def _add(self, kind: str, path: bytes, found: os.stat_result) -> None:
        if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
            self.files.append(File(kind, path, os.path.join(self.directory, path), found))
        else:
            self.removed.append(path)
            self.left.append((path, "not a file"))

    def _conversation(self, patterns: list[str]) -> None:
        if not patterns:
            return
        import glob  # costs a tenth of a second under emulation

        home = os.path.expanduser("~")
        names: set[str] = set()
        for pattern in patterns:
            names.update(glob.glob(pattern, root_dir=home, recursive=True, include_hidden=True))
        for name in sorted(names):
            at = os.fsencode(os.path.join(home, name))
            try:
                found = os.lstat(at)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                self.files.append(File("files", os.fsencode(name), at, found))

    def _under_way(self) -> None:
        for what in sorted({UNDER_WAY[name] for name in UNDER_WAY if self._has(name)}):
            self.notes.append(f"the {what} under way, of which the files are kept as they were")
        if self._has(b"modules"):
            self.notes.append("what is inside of submodules")

    def _has(self, name: bytes) -> bool:
        return os.path.exists(os.path.join(self.git_dir, name))

    def fingerprint(self) -> str:
        """Equal to an earlier one: as far as the disk tells, nothing was touched since."""
        asked = {**vars(self._request), "base": None, "tree": None}
        known = [asked, self.head, self.branch, self.base, sorted(self.refs.items()), self.notes]
        staged = [(entry.path, entry.mode, entry.oid) for entry in self.staged]
        files = [
            (file.at, file.stat.st_mode, file.stat.st_size, *moments(file)) for file in self.files
        ]
        return ascii([known, self.removed, staged, self.left, files])


def moments(file: File) -> tuple[int, int, int]:
    """What changes whenever a file is written to."""
    return file.stat.st_mtime_ns, file.stat.st_ctime_ns, file.stat.st_ino


def branch_of(git_dir: bytes) -> str | None:
    """The full name of the branch that HEAD is on; None when it is on none."""
    with open(os.path.join(git_dir, b"HEAD"), "rb") as file:
        text = os.fsdecode(file.read().strip())
    return text.removeprefix("ref: ") if text.startswith("ref: ") else None


def size(count: float) -> str:
    """Bytes as a person says them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.1f}".removesuffix(".0") + f" {unit}"
        count /= 1000
    return f"{count:.1f} GB"
