"""Files that a turn finds in its machine: beside the repository, never in it."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from pydantic import SecretStr

from adapters.agent.port import JobRefused
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.work.guest import Machine, last_line
from vmpool.errors import MachineError

PUT_SECONDS = 20.0
INSTRUCT_SECONDS = 120.0
"""With a dev container to enter, where processors are emulated."""
ROOT = "/tmp"
_PUT = (
    'umask 077 && mkdir -p -- "${1%/*}" && cat > "$1.new" && mv -f -- "$1.new" "$1"',
    "put",
)


MEMORY = "/dev/shm"
"""What lies there is never on the machine's disk."""
_HAND = (
    'umask 077 && mkdir -p -- "$1" && tar --extract --no-same-owner --file=- --directory="$1"',
    "hand",
)


class Materials:
    """Puts files into one machine."""

    def __init__(self, machine: Machine, root: str = ROOT, memory: str = MEMORY) -> None:
        """Below `root` in the machine, which nothing else of the session is; secrets in `memory`.

        `memory` is a tmpfs.
        """
        self._machine = machine
        self._root = root
        self._memory = memory

    def grants_directory(self, turn: str) -> str:
        """Where a turn finds what is handed to it: a directory a grant, a file a value."""
        return str(PurePosixPath(self._memory, f"ona-{turn}"))

    async def hand(self, turn: str, handed: Mapping[str, Mapping[str, SecretStr]]) -> None:
        """Let the turn find these values, in place of those before; only its user reads them.

        :raises ConnectionError: the way into the machine is lost
        :raises JobRefused: the machine has no room for them
        """
        argv = ["/bin/sh", "-c", *_HAND, self.grants_directory(turn)]
        await self._do(argv, _packed(handed), N_("its credentials could not be put into it: {why}"))

    async def take_back(self, turn: str) -> None:
        """Remove what was handed to the turn. :raises ConnectionError:"""
        argv = ["rm", "-rf", "--", self.grants_directory(turn)]
        await self._do(argv, None, N_("its credentials could not be removed from it: {why}"))

    async def put(self, turn: str, name: str, data: bytes) -> str:
        """Let the turn find `data` as `name`; the path in the machine. Idempotent.

        :raises ConnectionError: the way into the machine is lost
        :raises JobRefused: the machine has no room for it
        """
        path = str(PurePosixPath(self._root, f"ona-{turn}", PurePosixPath(name).name))
        argv = ["/bin/sh", "-c", *_PUT, path]
        await self._do(argv, data, N_("the quoted material could not be put into it: {why}"))
        return path

    async def instruct(self, argv: list[str], packed: bytes) -> None:
        """Let this command put what agents are told where they look for it.

        :raises ConnectionError: the way into the machine is lost
        :raises JobRefused: the machine has no room for it
        """
        trouble = N_("the agent's instructions could not be put into it: {why}")
        await self._do(argv, packed, trouble, seconds=INSTRUCT_SECONDS)

    async def _do(
        self, argv: list[str], stdin: bytes | None, trouble: str, seconds: float = PUT_SECONDS
    ) -> None:
        try:
            done = await self._machine.run(argv, stdin=stdin, timeout_seconds=seconds)
        except (MachineError, OSError) as error:
            raise ConnectionError(str(error)) from error
        if done.exit_status != 0:
            why = last_line(done.stderr) or f"exit status {done.exit_status}"
            raise JobRefused(_(trouble, why=why))


def _packed(handed: Mapping[str, Mapping[str, SecretStr]]) -> bytes:
    """A tar of them: each is put in place whole."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for grant, values in handed.items():
            directory = tarfile.TarInfo(grant)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o700
            tar.addfile(directory)
            for name, value in values.items():
                data = value.get_secret_value().encode()
                entry = tarfile.TarInfo(f"{grant}/{PurePosixPath(name).name}")
                entry.size, entry.mode = len(data), 0o400
                tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
