"""Makes, hands out, scrubs and removes network slots; needs root. See `vmpool.network.slot`."""

import os
import shlex
from collections.abc import Collection
from pathlib import Path

import structlog

from vmpool.errors import HostUnfit
from vmpool.network import slot
from vmpool.network.namespace import TUN
from vmpool.program import SYSTEM, SYSTEM_PATH, run

log = structlog.get_logger(__name__)

NAMESPACES = Path("/run/netns")
COMMAND_SECONDS_MAX = 20.0
PROGRAMS = {"ip": "iproute2", "nft": "nftables"}
"""Program → the package that brings it."""


class NoSlot(HostUnfit):
    """Every slot is taken, or one could not be made."""


class Slots:
    """The slots of one installation. One process uses it, on one event loop."""

    def __init__(self, root: Path, *, count_max: int, uid_first: int | None = None) -> None:
        """`root`: the directory of the machines, by which slots are told apart.

        :param uid_first: whose the tap of slot 0 is; the next one is the next slot's. None: root's
        """
        self._owner = slot.owner_of(root)
        self._count_max = count_max
        self._uid_first = uid_first
        self._taken: dict[str, str] = {}
        """Slot's name by who took it."""
        self._ready: set[str] = set()
        self._making: set[str] = set()

    async def open(self, taken: dict[str, str]) -> None:
        """Take over what an earlier process left: slots that are in use, and idle ones.

        What is ours by name and of no use is removed; see `sweep`.

        :param taken: the slots in use, by who took them
        """
        self._taken = dict(taken)
        await self.sweep()

    async def prepare(self, count: int) -> int:
        """Make slots until so many are ready to be taken; how many were made."""
        made = 0
        while len(self._ready) + len(self._making) < count:
            name = self._unused()
            if name is None:
                break
            await self._make(name)
            made += 1
        return made

    async def take(self, who: str) -> str:
        """A slot for somebody; the one they have, if they have one. :raises NoSlot:."""
        if who in self._taken:
            return self._taken[who]
        if not self._ready:
            name = self._unused()
            if name is None:
                raise NoSlot(f"all {self._count_max} network slots are taken")
            await self._make(name)
        name = min(self._ready)
        self._ready.remove(name)
        self._taken[who] = name
        return name

    async def release(self, who: str) -> None:
        """Give a slot back; none taken is success.

        It is removed, and made anew when one is wanted: what was left in its namespace, nobody
        else ever sees.
        """
        name = self._taken.get(who)
        if name is not None:
            await self._discard(name)
            self._taken.pop(who, None)

    async def sweep(self) -> None:
        """Remove what is ours by name and known to nobody: what a failure has left.

        What can't be removed stands aside, and keeps nobody waiting: the next sweep tries again.
        """
        for name in self._found():
            known = {*self._taken.values(), *self._ready, *self._making}
            if name not in known and slot.slot_number(self._owner, name) is not None:
                await self._discard(name)

    def taken(self) -> Collection[str]:
        """Who has slots."""
        return tuple(self._taken)

    def uid(self, name: str) -> int | None:
        """Whose the tap of a slot is; None: root's."""
        number = slot.slot_number(self._owner, name)
        return None if self._uid_first is None or number is None else self._uid_first + number

    async def close(self) -> None:
        """Remove the slots that nobody has; those in use stay."""
        for name in sorted(self._ready):
            await self._discard(name)
        self._ready.clear()

    def _found(self) -> list[str]:
        return sorted(os.listdir(NAMESPACES)) if NAMESPACES.is_dir() else []

    def _unused(self) -> str | None:
        used = {*self._taken.values(), *self._ready, *self._making, *self._found()}
        names = (slot.slot_name(self._owner, number) for number in range(self._count_max))
        return next((name for name in names if name not in used), None)

    async def _make(self, name: str) -> None:
        """:raises NoSlot: the kernel, or a program, does not do it; nothing is left behind"""
        self._making.add(name)
        try:
            await _run("ip", "netns", "add", name)
            await _run("ip", "netns", "exec", name, "sh", "-c", _script(self.uid(name) or 0))
        except BaseException:
            await self._discard(name)
            raise
        finally:
            self._making.discard(name)
        self._ready.add(name)

    async def _discard(self, name: str) -> None:
        """Remove a slot; one that can't be is told to the operator, and nobody gets its name."""
        try:
            await _remove(name)
        except NoSlot as error:
            log.error("network_slot_not_removed", slot=name, error=str(error))


def namespace(name: str) -> Path:
    """The network namespace of a slot."""
    return NAMESPACES / name


def missing() -> str | None:
    """Why no slot can be made here, or None; changes nothing."""
    if os.geteuid() != 0:
        return "network namespaces and taps are made by root"
    if not TUN.exists():
        return f"there is no {TUN}"
    for program, package in PROGRAMS.items():
        if not any(Path(place, program).exists() for place in SYSTEM_PATH.split(":")):
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
        await _run("ip", "netns", "delete", name, what="removed")


async def _run(*command: str, what: str = "made") -> None:
    """:raises NoSlot: it failed, with its words"""
    try:
        ended = await run(*command, seconds_max=COMMAND_SECONDS_MAX, environment=SYSTEM)
    except TimeoutError as error:
        why = f"{command[0]} took longer than {COMMAND_SECONDS_MAX:g} s"
        raise NoSlot(f"a network slot could not be {what}: {why}") from error
    except OSError as error:
        raise NoSlot(f"{command[0]} could not be run ({error.strerror})") from error
    if ended.status:
        why = (ended.words.splitlines() or ["no word why"])[-1]
        raise NoSlot(f"a network slot could not be {what}: {why}")
