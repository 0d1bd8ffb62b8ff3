"""Git on the host: with our settings only, without prompts, within limits, never as a shell."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/local/bin:/usr/bin:/bin"
PROTOCOLS = "file:git:http:https:ssh"
CHUNK_BYTES = 256 * 1024
STDERR_BYTES_MAX = 16 * 1024
STDOUT_BYTES_MAX = 16 * 1024 * 1024
BLOCK_BYTES = 512
LIMITED = (
    'ulimit -f "$1"; ulimit -d "$2"; seconds=$3; shift 3; exec timeout -s KILL "$seconds" "$@"'
)
"""The limits belong to the processes themselves: they hold when we are killed, too."""


class GitFailed(Exception):
    """Git ended with an error; the text is what it said."""

    output: bytes = b""
    """What it wrote before that."""


class GitTooLarge(GitFailed):
    """It wanted to write a larger file than it may."""


class GitOutOfMemory(GitFailed):
    """It wanted more memory than it may have."""


class GitTimedOut(GitFailed):
    """It took longer than it may, and was killed."""


@dataclass(frozen=True, kw_only=True)
class GitLimits:
    """What one call of git may take."""

    seconds_max: float
    file_bytes_max: int = 1 << 40
    """Of each file that it writes."""
    memory_bytes_max: int | None = None
    """Of each process's own memory; None: all that the host has."""


def environment(git_dir: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Everything that git sees of ours."""
    return {
        "PATH": PATH,
        "HOME": str(git_dir),
        "LC_ALL": "C",
        "GIT_DIR": str(git_dir),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ALLOW_PROTOCOL": PROTOCOLS,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=15",
        **more,
    }


async def git(
    *argv: str,
    git_dir: Path,
    limits: GitLimits,
    more: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    holding: Sequence[int] = (),
) -> bytes:
    """What git says.

    :param more: environment besides ours
    :param holding: descriptors that stay open as long as git runs, such as a lock's
    :raises GitFailed: with what it complained about
    """
    async with _started(argv, git_dir, limits, more or {}, holding) as process:
        try:
            async with asyncio.timeout(limits.seconds_max), asyncio.TaskGroup() as group:
                group.create_task(_feed(process, stdin))
                out = group.create_task(_read(process.stdout, STDOUT_BYTES_MAX))
                err = group.create_task(_read(process.stderr, STDERR_BYTES_MAX))
        except TimeoutError:
            raise GitTimedOut(f"git {argv[0]} took longer than {limits.seconds_max:g} s") from None
        try:
            await _ended(process, err.result())
        except GitFailed as error:
            error.output = out.result()
            raise
        return out.result()


async def git_stream(
    *argv: str, git_dir: Path, limits: GitLimits, stdin: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """What git says, piece by piece; it is killed when the caller stops reading.

    :raises GitFailed: at the end, with what it complained about
    """
    async with _started(argv, git_dir, limits, {}, ()) as process:
        assert process.stdout is not None
        await _feed(process, stdin)
        errors = asyncio.create_task(_read(process.stderr, STDERR_BYTES_MAX))
        try:
            while data := await process.stdout.read(CHUNK_BYTES):
                yield data
            await _ended(process, await errors)
        finally:
            errors.cancel()


@asynccontextmanager
async def _started(
    argv: Sequence[str],
    git_dir: Path,
    limits: GitLimits,
    more: Mapping[str, str],
    holding: Sequence[int],
) -> AsyncIterator[asyncio.subprocess.Process]:
    blocks = str(max(1, limits.file_bytes_max // BLOCK_BYTES))
    memory = limits.memory_bytes_max
    kilobytes = "unlimited" if memory is None else str(memory // 1024)
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *("sh", "-c", LIMITED, "sh", blocks, kilobytes, f"{limits.seconds_max:g}"),
            *("git", "-c", "core.hooksPath=/dev/null", "-c", "gc.autoDetach=false", *argv),
            cwd="/",
            env=environment(git_dir, more),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=tuple(holding),
            start_new_session=True,
        )
    )
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # It runs already, and asyncio would end it without its children, who keep our locks.
        await _kill(await starting)
        raise
    try:
        yield process
    finally:
        await _kill(process)


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def _ended(process: asyncio.subprocess.Process, stderr: bytes) -> None:
    status = await process.wait()
    if status == 0:
        return
    said = stderr.decode("utf-8", "replace").strip()
    if status in (-signal.SIGKILL, 128 + signal.SIGKILL, 124):
        raise GitTimedOut(said or "git was killed")
    large = f"signal {int(signal.SIGXFSZ)}"
    if large in said or "File too large" in said or status == 128 + signal.SIGXFSZ:
        raise GitTooLarge(said)
    if "ut of memory" in said:
        raise GitOutOfMemory(said)
    raise GitFailed(said or f"git ended with status {status}")


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _read(reader: asyncio.StreamReader | None, bytes_max: int) -> bytes:
    assert reader is not None
    kept = bytearray()
    while data := await reader.read(CHUNK_BYTES):
        kept += data[: max(0, bytes_max - len(kept))]
    return bytes(kept)
