"""Makes, hands out, scrubs and removes network slots; needs root. See `vmpool.network.slot`."""

import asyncio
import hashlib
import os
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from vmpool.errors import HostUnfit
from vmpool.network import slot

NAMESPACES = Path("/run/netns")
TUN = Path("/dev/net/tun")
COMMAND_SECONDS_MAX = 20.0
PROGRAMS = {"ip": "iproute2", "nft": "nftables"}
"""Program → the package that brings it."""
PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


class NoSlot(HostUnfit):
    """Every slot is taken, or one could not be made."""


class Slots:
    """The slots of one installation. One process uses it, on one event loop."""

    def __init__(self, root: Path, *, count_max: int, uid: int = 0) -> None:
        """`root`: the directory of the machines, by which slots are told apart; `uid` owns taps."""
        self._owner = hashlib.sha256(os.fsencode(root)).hexdigest()[:8]
        self._count_max = count_max
        self._uid = uid
        self._taken: dict[str, str] = {}
        """Slot's name by machine."""
        self._ready: set[str] = set()

    async def open(self, taken: dict[str, str]) -> None:
        """Take over what an earlier process left: slots of machines that run, and idle ones.

        What is ours by name and of no use is removed.

        :param taken: the slots of machines that run, by machine id
        """
        self._taken = dict(taken)
        for name in self._found():
            number = slot.slot_number(self._owner, name)
            if number is not None and name not in self._taken.values():
                await _remove(name)

    async def prepare(self, count: int) -> int:
        """Make slots until so many are ready to be taken; how many were made."""
        made = 0
        while len(self._ready) < count and (name := self._unused()) is not None:
            await self._make(name)
            made += 1
        return made

    async def take(self, machine_id: str) -> str:
        """A slot for a machine; the one it has, if it has one. :raises NoSlot:."""
        if machine_id in self._taken:
            return self._taken[machine_id]
        if not self._ready:
            name = self._unused()
            if name is None:
                raise NoSlot(f"all {self._count_max} network slots are taken")
            await self._make(name)
        name = min(self._ready)
        self._ready.remove(name)
        self._taken[machine_id] = name
        return name

    async def release(self, machine_id: str) -> None:
        """Scrub a machine's slot for the next one; none taken is success.

        It is made anew: what a machine left in its namespace, nobody else ever sees.
        """
        name = self._taken.pop(machine_id, None)
        if name is not None:
            await _remove(name)
            await self._make(name)

    async def sweep(self, machine_ids: Collection[str]) -> list[str]:
        """Release the slots of machines that are none of these; says whose there were."""
        strays = [machine_id for machine_id in self._taken if machine_id not in machine_ids]
        for machine_id in strays:
            await self.release(machine_id)
        return strays

    async def close(self) -> None:
        """Remove the slots that no machine has; those of running ones stay."""
        for name in sorted(self._ready):
            await _remove(name)
        self._ready.clear()

    def _found(self) -> list[str]:
        return sorted(os.listdir(NAMESPACES)) if NAMESPACES.is_dir() else []

    def _unused(self) -> str | None:
        used = {*self._taken.values(), *self._ready}
        names = (slot.slot_name(self._owner, number) for number in range(self._count_max))
        return next((name for name in names if name not in used), None)

    async def _make(self, name: str) -> None:
        """:raises NoSlot: the kernel, or a program, does not do it; nothing is left behind"""
        try:
            await _run("ip", "netns", "add", name)
            await _run("ip", "netns", "exec", name, "sh", "-c", _script(self._uid))
        except BaseException:
            await _remove(name)
            raise
        self._ready.add(name)


def entering(name: str) -> list[str]:
    """What stands before a command that shall run in a slot."""
    return ["nsenter", f"--net={NAMESPACES / name}", "--"]


def missing() -> str | None:
    """Why no slot can be made here, or None; changes nothing."""
    if os.geteuid() != 0:
        return "network namespaces and taps are made by root"
    if not TUN.exists():
        return f"there is no {TUN}"
    for program, package in PROGRAMS.items():
        if not any(Path(place, program).exists() for place in PATH.split(":")):
            return f"{program} is missing; apt-get install {package}"
    return None


def _script(uid: int) -> str:
    """Everything of a slot but its namespace: rules and settings first, then the device goes up."""
    tap = slot.TAP
    lines = [
        "set -eu",
        f"nft -f - <<'END'\n{slot.rules()}END",
        f"ip tuntap add dev {tap} mode tap vnet_hdr user {uid}",
        f"ip link set dev {tap} address {slot.TAP_MAC}",
        *(
            f"echo {shlex.quote(value)} > /proc/sys/net/{path}"
            for path, value in slot.settings().items()
        ),
        f"ip addr add {slot.HOST_ADDRESS}/{slot.PREFIX_BITS} dev {tap}",
        f"ip link set dev {tap} up",
    ]
    return "\n".join(lines)


async def _remove(name: str) -> None:
    """Remove a namespace; what runs in it keeps it until it ends. None there is success."""
    if (NAMESPACES / name).exists():
        await _run("ip", "netns", "delete", name)


async def _run(*command: str) -> None:
    """:raises NoSlot: it failed, with its words"""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={"PATH": PATH, "LC_ALL": "C"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            words, _ = await process.communicate()
    except (OSError, TimeoutError) as error:
        raise NoSlot(f"{command[0]} could not be run ({type(error).__name__})") from error
    if process.returncode:
        raise NoSlot(f"a network slot could not be made: {_last(words.splitlines())}")


def _last(lines: Sequence[bytes]) -> str:
    return lines[-1].decode(errors="replace").strip() if lines else "no word why"
