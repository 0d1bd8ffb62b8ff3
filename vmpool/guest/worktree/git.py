"""Git inside the machine: run it, read why it failed, write to it what it reads.

Without `subprocess`, and nothing else that is slow to import: this is paid after each turn, and
under emulation `subprocess` and `json` together take longer than git does.
"""

import os

PROGRAM = ("git", "-c", "core.fsmonitor=false", "-c", "core.compression=1", "-c", "gc.auto=0")
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
DETAIL_CHARACTERS = 500
SIGKILL, SIGPIPE = 9, 13


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


class Process:
    """A git that runs; its complaints are kept in memory, so nobody has to read along."""

    def __init__(self, argv: list[str], env: dict[str, str], *, stdin: int, stdout: int) -> None:
        self._stderr = os.memfd_create("stderr")
        streams = ((stdin, 0), (stdout, 1), (self._stderr, 2))
        self._pid = os.posix_spawnp(
            PROGRAM[0],
            [*PROGRAM, *argv],
            env,
            file_actions=[(os.POSIX_SPAWN_DUP2, ours, theirs) for ours, theirs in streams],
            setsigdef=[SIGPIPE],
        )
        self._ended = False

    def wait(self) -> None:
        """Wait for its end. :raises Unable: it failed"""
        if self._ended:
            return
        _, status = os.waitpid(self._pid, 0)
        self._ended = True
        said = contents(self._stderr)
        if status != 0:
            raise failure(said)

    def end(self) -> None:
        """Leave nothing running. Idempotent."""
        if not self._ended:
            os.kill(self._pid, SIGKILL)
            try:  # noqa: SIM105 (contextlib is slow to import)
                self.wait()
            except Unable:
                pass


def git(*argv: str, env: dict[str, str], stdin: bytes = b"") -> bytes:
    """What git says. :raises Unable: it failed"""
    return said_by(*start(*argv, env=env, stdin=stdin))


def start(*argv: str, env: dict[str, str], stdin: bytes = b"") -> tuple[Process, int]:
    """Run git without waiting for it; give what is returned to `said_by`."""
    read, out = memory(stdin), os.memfd_create("stdout")
    process = Process([*argv], env, stdin=read, stdout=out)
    os.close(read)
    return process, out


def said_by(process: Process, out: int) -> bytes:
    """What a started git says. :raises Unable: it failed"""
    try:
        process.wait()
    finally:
        said = contents(out)
    return said


def memory(data: bytes) -> int:
    """A file in memory, to be read from its beginning."""
    descriptor = os.memfd_create("stdin")
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def contents(descriptor: int) -> bytes:
    """All of a file in memory, which is closed."""
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


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
        read, write = os.pipe()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        argv = ["fast-import", "--quiet", "--force", "--date-format=raw"]
        self._process = Process(argv, of_repository(git_dir), stdin=read, stdout=nowhere)
        os.close(read)
        os.close(nowhere)
        self._stream = os.fdopen(write, "wb")
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
        merged: tuple[bytes, ...] = (),
        changes: list[bytes],
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
        try:
            self._stream.close()
        except BrokenPipeError:
            self._process.wait()
            raise Unable("git", "fast-import ended early") from None
        self._process.wait()

    def give_up(self) -> None:
        """Leave nothing running. Idempotent."""
        self._process.end()
        try:  # noqa: SIM105
            self._stream.close()
        except BrokenPipeError:
            pass

    def _write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
        except BrokenPipeError:
            self.close()


SIGNATURE = b"ona <ona@localhost> 4102444800 +0000"
"""Dated later than any commit: git walks history by date, and the kept one has to come first."""
