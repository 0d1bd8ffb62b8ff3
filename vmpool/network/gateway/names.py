"""The addresses that the names of a machine have: one each, for as long as the machine lives.

A program in the machine connects to such an address, the connection lands in the gateway, and its
original destination tells which name was meant. So any protocol is decided by name. Numbers are
remembered outside: a machine that slept for a week has the old addresses in its memory.
"""

import asyncio
from ipaddress import IPv4Address
from uuid import UUID

from vmpool.network.gateway.ports import Names
from vmpool.network.slot import NAMES_RANGE

FIRST = 1
"""Not the range's own address."""


class NameTable:
    """Names and addresses of one machine."""

    def __init__(self, machine: UUID, store: Names, names_max: int) -> None:
        self._machine = machine
        self._store = store
        self._names_max = min(names_max, NAMES_RANGE.num_addresses - 2)
        self._addresses: dict[str, IPv4Address] = {}
        self._names: dict[IPv4Address, str] = {}
        self._adding = asyncio.Lock()

    async def load(self) -> None:
        """Read what was given out before."""
        for name, number in (await self._store.known(self._machine)).items():
            self._put(name, number)

    async def address(self, name: str) -> IPv4Address | None:
        """The address of a name, which has one from now on; None: there are too many."""
        if name not in self._addresses:
            async with self._adding:
                if name not in self._addresses:
                    if len(self._addresses) >= self._names_max:
                        return None
                    self._put(name, await self._store.add(self._machine, name))
        return self._addresses[name]

    def name(self, address: IPv4Address) -> str | None:
        """Which name has an address."""
        return self._names.get(address)

    def known(self) -> tuple[str, ...]:
        """The names that have an address."""
        return tuple(self._addresses)

    def _put(self, name: str, number: int) -> None:
        address = NAMES_RANGE[FIRST + number]
        self._addresses[name] = address
        self._names[address] = name
