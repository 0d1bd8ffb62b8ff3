"""Short programs of this host: run to their end, with what they say."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
"""The sbin directories too: the PATH of a service often lacks them."""
SYSTEM = {"PATH": SYSTEM_PATH, "LC_ALL": "C"}
"""The environment in which programs of the system say what we can read."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended."""

    status: int
    words: str
    """What it wrote, on either output."""


async def run(
    *command: str, seconds_max: float, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run it to its end; whoever gives it up leaves nothing of it.

    :param environment: None: ours
    :raises OSError: it can't be run
    :raises TimeoutError: it takes longer, and was killed
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds_max):
            words, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(status=process.returncode, words=words.decode(errors="replace").strip())
