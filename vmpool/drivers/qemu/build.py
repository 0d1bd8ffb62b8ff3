"""What the installed QEMU is: its exact build and what it can do."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vmpool.drivers.qemu.qmp import describe_version
from vmpool.errors import HostUnfit

INSPECT_SECONDS_MAX = 20.0


@dataclass(frozen=True, kw_only=True)
class Build:
    """One QEMU binary."""

    version: str
    sandbox: bool
    """Whether it can lock itself in by seccomp."""


async def inspect(binary: str) -> Build:
    """Ask the binary over its control protocol.

    :raises HostUnfit: it is missing, may not be run or does not answer
    """
    commands = [
        {"execute": "qmp_capabilities"},
        {"execute": "query-command-line-options", "arguments": {"option": "sandbox"}},
        {"execute": "quit"},
    ]
    questions = "".join(json.dumps(command) + "\n" for command in commands).encode()
    try:
        with _readable(questions) as stdin:
            process = await asyncio.create_subprocess_exec(
                binary, "-machine", "none", "-nodefaults", "-nographic", "-qmp", "stdio",
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
    except OSError as error:
        raise HostUnfit(f"{binary} can't be run ({error.strerror}); install QEMU") from error
    try:
        async with asyncio.timeout(INSPECT_SECONDS_MAX):
            out, err = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise HostUnfit(f"{binary} does not answer within {INSPECT_SECONDS_MAX:.0f} s") from error
    try:
        return _read(out)
    except (KeyError, ValueError, StopIteration) as error:
        words = err.decode(errors="replace").strip()[-200:]
        raise HostUnfit(f"{binary} did not say what it is: {words}") from error


@contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """A pipe that holds everything already: its reader comes to the end though we be killed."""
    reader, writer = os.pipe()
    try:
        os.write(writer, data)
        os.close(writer)
        yield reader
    finally:
        os.close(reader)


def _read(out: bytes) -> Build:
    messages = [json.loads(line) for line in out.splitlines() if line.strip()]
    greeting = next(message["QMP"] for message in messages if "QMP" in message)
    returns = [message["return"] for message in messages if "return" in message]
    return Build(
        version=describe_version(greeting["version"]),
        sandbox=any(isinstance(value, list) and value for value in returns),
    )
