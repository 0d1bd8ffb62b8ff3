"""Files that a turn finds in its machine: beside the repository, never in it."""

from pathlib import PurePosixPath

from adapters.agent.port import JobRefused
from bot.work.guest import Machine, last_line
from vmpool.errors import MachineError

PUT_SECONDS = 20.0
ROOT = "/tmp"
_PUT = (
    'umask 077 && mkdir -p -- "${1%/*}" && cat > "$1.new" && mv -f -- "$1.new" "$1"',
    "put",
)


class Materials:
    """Puts files into one machine."""

    def __init__(self, machine: Machine, root: str = ROOT) -> None:
        """Below `root` in the machine, which nothing else of the session is."""
        self._machine = machine
        self._root = root

    async def put(self, turn: str, name: str, data: bytes) -> str:
        """Let the turn find `data` as `name`; the path in the machine. Idempotent.

        :raises ConnectionError: the way into the machine is lost
        :raises JobRefused: the machine has no room for it
        """
        path = str(PurePosixPath(self._root, f"ona-{turn}", PurePosixPath(name).name))
        argv = ["/bin/sh", "-c", *_PUT, path]
        try:
            done = await self._machine.run(argv, stdin=data, timeout_seconds=PUT_SECONDS)
        except (MachineError, OSError) as error:
            raise ConnectionError(str(error)) from error
        if done.exit_status != 0:
            why = last_line(done.stderr) or f"exit status {done.exit_status}"
            raise JobRefused(f"the quoted material could not be put into it: {why}")
        return path
