"""The ways out of machines in slots: one that can't be opened is tried again."""

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from vmpool.drivers import launcher
from vmpool.drivers.cgroup import Cgroups
from vmpool.drivers.cloud_hypervisor import CloudHypervisor
from vmpool.drivers.home import Launch
from vmpool.drivers.isolation import Isolation
from vmpool.drivers.launcher import Launcher
from vmpool.network.slots import namespace

WAIT_SECONDS_MAX = 100
LAUNCH = Launch(token="t1", process=None, fingerprint="f", slot="ona-0-1")
WHERE = namespace("ona-0-1")


class Door:
    """A gateway that can't serve anybody so many times, as while the database is away."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked = 0
        self.served: list[tuple[UUID, Path]] = []
        self.opened = asyncio.Event()

    async def serve(self, machine: UUID, where: Path) -> None:
        self.asked += 1
        if self.asked <= self.failures:
            raise ConnectionError("the database is away")
        self.served.append((machine, where))
        self.opened.set()

    async def leave(self, machine: UUID, where: Path) -> None:
        if (machine, where) in self.served:
            self.served.remove((machine, where))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "SERVE_AGAIN_SECONDS_MIN", 0.01)
    monkeypatch.setattr(launcher, "SERVE_AGAIN_SECONDS_MAX", 0.02)


def launches(root: Path, door: Door) -> Launcher:
    return Launcher(
        root,
        CloudHypervisor(),
        cgroups=Cgroups(None),
        isolation=Isolation(),
        ahead_max=0,
        way_out=door,
    )


async def tried(made: Launcher) -> None:
    """Return when nothing is tried any more."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while made._trying:
            await asyncio.wait(set(made._trying))


async def test_a_way_out_that_could_not_be_opened_is_opened_later(tmp_path: Path) -> None:
    door, machine = Door(failures=4), uuid4()
    made = launches(tmp_path, door)
    await made._serve(str(machine), LAUNCH)
    assert door.served == []
    await asyncio.wait_for(door.opened.wait(), WAIT_SECONDS_MAX)
    await tried(made)
    assert (door.asked, door.served) == (5, [(machine, WHERE)])
    made.give_back(LAUNCH)
    await made.close()
    assert door.served == []


@pytest.mark.parametrize("how", ["its process ends", "we end"])
async def test_it_is_not_tried_for_ever(tmp_path: Path, how: str) -> None:
    door = Door(failures=1_000_000)
    made = launches(tmp_path, door)
    await made._serve(str(uuid4()), LAUNCH)
    if how == "its process ends":
        made.give_back(LAUNCH)
    else:
        await made.close()
    await tried(made)
    asked = door.asked
    await made.close()
    assert (door.asked, door.served) == (asked, [])
