"""Keep the work tree as one commit and send it as a bundle; nothing that git shows is changed.

Answer: {result: "same"}, or {result: "tree", base, head, tree, size, left_out} and then `size`
bytes, or {result: "failed", why, detail}.

Everything is written in a repository of its own that borrows the agent's objects: its refs, its
index, its configuration and its object store stay as they are.
"""

import errno
import os
import stat
import sys
import time

from vmpool.guest.worktree.git import Importer, Process, Unable, git, memory, of_repository, quoted
from vmpool.guest.worktree.json import as_json
from vmpool.guest.worktree.look import File, Look, Request, size
from vmpool.guest.worktree.names import capped, names, short
from vmpool.guest.worktree.scratch import Scratch, has_room

TREE, INDEX, FILES = "refs/ona/tree", "refs/ona/index", "refs/ona/files"
LADDER = (("untracked", "refs", "changed"), ("refs", "changed"), ("changed",), ())
"""What is kept besides the commits of HEAD and the conversation, until it fits."""
ORDER = ("changed", "files", "untracked")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
RACY_NS = 2_000_000_000
MARK = b"ona-checkpoint"
CHUNK_BYTES = 1 << 20
PACK = ["pack-objects", "--revs", "--thin", "--stdout", "--delta-base-offset", "-q"]


def main(request: Request) -> None:
    """Serve one request."""
    try:
        Save(request).run()
    except Unable as error:
        answer({"result": "failed", "why": error.why, "detail": error.detail})


def answer(words: dict[str, object]) -> None:
    """Say it in one line."""
    sys.stdout.buffer.write(as_json(words).encode() + b"\n")
    sys.stdout.buffer.flush()


class Save:
    """One checkpoint."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._began_ns = time.time_ns()
        self._look = look = Look(request)
        self._base = look.base if look.base is not None else self._last_base()

    def _last_base(self) -> str | None:
        """The base of the last checkpoint if the agent's repository still has it."""
        base = self._request.base
        if not base:
            return None
        try:
            git("cat-file", "-e", f"{base}^{{commit}}", env=of_repository(self._look.git_dir))
        except Unable:
            return None
        return base

    def run(self) -> None:
        """Try places for temporary files, the disk before memory, and then ever less to keep."""
        if self._untouched():
            answer({"result": "same"})
            return
        unable = Unable("room")
        for place in (self._look.git_dir, b"/tmp", b"/dev/shm"):
            try:
                if not has_room(place, sum(file.stat.st_size for file in self._look.files)):
                    continue
                with Scratch(place, self._look.git_dir) as scratch:
                    if any(self._attempt(scratch, kinds) for kinds in LADDER):
                        return
                raise Unable("large")
            except Unable as error:
                if error.why != "room":
                    raise
                unable = error
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                unable = Unable("room", str(error))
        raise unable

    def _attempt(self, scratch: Scratch, kinds: tuple[str, ...]) -> bool:
        look = self._look
        taken, left = self._select(kinds)
        refs = look.refs if "refs" in kinds else {}
        refs = {name: oid for name, oid in look.refs.items() if name == look.branch} | refs
        notes = list(look.notes)
        notes += [f"branch {short(name)}" for name in sorted(look.refs) if name not in refs]
        tree, left_out = self._write(scratch, taken, left, refs, notes)
        if tree == self._request.tree:
            self._remember(tree)
            answer({"result": "same"})
            return True
        header = self._header(tree, refs)
        if not self._pack(scratch, tree, refs, self._request.bytes_max - len(header)):
            return False
        self._send(scratch, header, tree, left_out)
        self._remember(tree)
        return True

    def _select(self, kinds: tuple[str, ...]) -> tuple[list[File], list[tuple[bytes, str]]]:
        """What fits, what matters most first; and what is left out."""
        room, count = self._request.bytes_max, self._request.files_max
        taken, left = [], list(self._look.left)
        for file in sorted(self._look.files, key=urgency):
            if count == 0:
                left.append((file.path, f"more than {self._request.files_max} files"))
            elif file.stat.st_size > room or file.kind not in (*kinds, "files"):
                left.append((file.path, f"no room in {size(self._request.bytes_max)}"))
            else:
                taken.append(file)
                room -= file.stat.st_size
                count -= 1
        return taken, left

    def _write(
        self,
        scratch: Scratch,
        taken: list[File],
        left: list[tuple[bytes, str]],
        refs: dict[str, str],
        notes: list[str],
    ) -> tuple[str, list[str]]:
        look = self._look
        importer = Importer(scratch.git_dir)
        try:
            changes: dict[bool, list[bytes]] = {False: [], True: []}
            for file in taken:
                data = content(file)
                if data is None:
                    left.append((file.path, "not readable"))
                    continue
                line = b"M %s %s %s" % (mode(file), importer.blob(data), quoted(file.path))
                changes[file.kind == "files"].append(line)
            left_out = [*names(left), *capped(notes)]
            head = look.head.encode() if look.head else None
            merged = {}
            if look.staged:
                merged["index"] = importer.commit(INDEX, b"", onto=head, changes=self._staged())
            if changes[True]:
                merged["files"] = importer.commit(FILES, b"", onto=None, changes=changes[True])
            roles = [*(["head"] if head else []), *merged]
            message = {"branch": look.branch, "parents": roles, "refs": refs}
            text = as_json({**message, "left_out": left_out}).encode()
            removed = [b"D " + quoted(path) for path in look.removed]
            importer.commit(
                TREE,
                text,
                onto=head,
                merged=tuple(merged.values()),
                changes=[*removed, *changes[False]],
            )
            importer.close()
        finally:
            importer.give_up()
        return scratch.read(TREE), left_out

    def _staged(self) -> list[bytes]:
        removed = [entry for entry in self._look.staged if entry.mode == b"000000"]
        others = [entry for entry in self._look.staged if entry.mode != b"000000"]
        return [
            *(b"D " + quoted(entry.path) for entry in removed),
            *(b"M %s %s %s" % (entry.mode, entry.oid, quoted(entry.path)) for entry in others),
        ]

    def _header(self, tree: str, refs: dict[str, str]) -> bytes:
        lines = ["# v2 git bundle"]
        if self._base is not None:
            lines.append(f"-{self._base} base")
        lines.append(f"{tree} {TREE}")
        lines += [f"{oid} {name}" for name, oid in sorted(refs.items())]
        return os.fsencode("\n".join([*lines, "", ""]))

    def _pack(self, scratch: Scratch, tree: str, refs: dict[str, str], bytes_max: int) -> bool:
        """Pack what base doesn't have; False when it would be more than that."""
        wanted = [tree, *refs.values(), *([f"^{self._base}"] if self._base else [])]
        revisions = memory("\n".join([*wanted, ""]).encode())
        read, write = os.pipe()
        packing = Process(PACK, of_repository(scratch.git_dir), stdin=revisions, stdout=write)
        os.close(revisions)
        os.close(write)
        try:
            with open(read, "rb") as packed, open(scratch.pack, "wb") as file:
                while data := packed.read(CHUNK_BYTES):
                    if file.tell() + len(data) > bytes_max:
                        return False
                    file.write(data)
            packing.wait()
        finally:
            packing.end()
        return True

    def _send(self, scratch: Scratch, header: bytes, tree: str, left_out: list[str]) -> None:
        base, head = self._base or self._request.base or "", self._look.head or ""
        length = len(header) + os.path.getsize(scratch.pack)
        words = {"base": base, "head": head, "tree": tree, "size": length, "left_out": left_out}
        answer({"result": "tree", **words})
        sys.stdout.buffer.write(header)
        with open(scratch.pack, "rb") as file:
            while data := file.read(CHUNK_BYTES):
                sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def _untouched(self) -> bool:
        try:
            with open(os.path.join(self._look.git_dir, MARK), encoding="ascii") as file:
                return file.read() == f"{self._request.tree} {self._look.fingerprint()}"
        except (OSError, ValueError):
            return False

    def _remember(self, tree: str) -> None:
        """Save the next look its work, unless a file may have changed while it was read."""
        newest = max((file.stat.st_ctime_ns for file in self._look.files), default=0)
        if newest > self._began_ns - RACY_NS:
            return
        try:
            with open(os.path.join(self._look.git_dir, MARK), "w", encoding="ascii") as file:
                file.write(f"{tree} {self._look.fingerprint()}")
        except OSError:
            pass


def urgency(file: File) -> tuple[int, int, bytes]:
    """Of a conversation the newest file first, else the smallest first."""
    within = -file.stat.st_mtime_ns if file.kind == "files" else file.stat.st_size
    return ORDER.index(file.kind), within, file.path


def mode(file: File) -> bytes:
    """The mode that git has for it."""
    if stat.S_ISLNK(file.stat.st_mode):
        return b"120000"
    return b"100755" if file.stat.st_mode & stat.S_IXUSR else b"100644"


def content(file: File) -> bytes | None:
    """What is in it, as far as it reached when it was looked at; None: it can't be read."""
    try:
        if stat.S_ISLNK(file.stat.st_mode):
            return os.readlink(file.at)
        descriptor = os.open(file.at, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as opened:
            return opened.read(file.stat.st_size)
    except OSError:
        return None
