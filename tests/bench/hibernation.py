"""Hibernating under Cloud Hypervisor, against the same requests by hand; and clones all at once.

The guest is the tests' tiny one, which has filled some of its memory. A machine whose memory lies
in a file of its own is measured at two sizes, and beside it one whose memory is mapped.
"""

import asyncio
import os
import statistics
import time
from pathlib import Path

from tests.bench.figures import Figure, spread
from tests.contracts.rigs import LocalRig, answer, local_rig, started
from tests.fakes.caches import cache_dir
from tests.fakes.tiny_guest import tiny_spec
from tests.support.calm import calm
from vmpool.drivers.cloud_hypervisor import snapshot
from vmpool.drivers.cloud_hypervisor.api import Api
from vmpool.drivers.cloud_hypervisor.control import API_SOCKET
from vmpool.drivers.home import SAVING
from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.local import DriverLimits

SIZES_MIB = (512, 4096)
FILL_MIB = 64
CLONES = 4
BY_HAND_MAX = 1.2
SIZES_RATIO_MAX = 1.5
AT_ONCE_MAX = {1: 4.5}
AT_ONCE_MAX_OTHERWISE = 3.0
LOOK_SECONDS = 0.005


async def measure_on(directory: Path, hypervisor: Hypervisor, *, turns: int) -> list[Figure]:
    """All figures; `directory` lies on a file system that makes files of others' extents."""
    own: dict[int, list[float]] = {}
    by_hand: list[float] = []
    for size in SIZES_MIB:
        place = directory / str(size)
        place.mkdir()
        spec = await asyncio.to_thread(tiny_spec, cache_dir(), memory_mib=size)
        ahead_max = DriverLimits().ahead_max
        async with local_rig(place, hypervisor, spec, ahead_max=ahead_max) as rig:
            # Machines are looked at as often as in the product, not as in its tests.
            rig.local._limits = DriverLimits(disk_reserve_mib=1, ahead_max=ahead_max)
            machine_id = await _filled(rig)
            own[size] = []
            for _ in range(turns):
                # Each has the same to bring to the disk.
                if size == SIZES_MIB[0]:
                    await answer(rig, machine_id, "fill", str(FILL_MIB))
                    await calm(rig.local)
                    by_hand.append(await _by_hand(rig, machine_id))
                await answer(rig, machine_id, "fill", str(FILL_MIB))
                await calm(rig.local)
                own[size].append(await _hibernated(rig, machine_id))
                await rig.driver.resume(machine_id)
            if size == SIZES_MIB[0]:
                template_id = rig.new_template_id()
                await rig.driver.freeze(machine_id, template_id)
                mapped = await _mapped(rig, template_id, turns)
                alone, together = await _at_once(rig, template_id, turns)
    return [
        *_hibernations(own, by_hand, mapped),
        _clones(alone, together),
    ]


async def _filled(rig: LocalRig) -> str:
    machine_id = await started(rig)
    await answer(rig, machine_id, "fill", str(FILL_MIB))
    return machine_id


async def _hibernated(rig: LocalRig, machine_id: str) -> float:
    """Seconds until the rest would survive a power cut."""
    rest = rig.local._home(machine_id).rest
    began = time.perf_counter()
    await rig.driver.hibernate(machine_id)
    while not rest.durable:
        await asyncio.sleep(LOOK_SECONDS)
    return time.perf_counter() - began


async def _by_hand(rig: LocalRig, machine_id: str) -> float:
    """The same without us; the machine runs on."""
    home = rig.local._home(machine_id)
    api = Api(lambda: home.connect(API_SOCKET))
    # The only directory into which the hypervisor may write.
    partial, final = home.cell / SAVING, home.cell / "byhand"
    snapshot.prepare(home)
    began = time.perf_counter()
    await api.pause()
    await api.snapshot(snapshot.url(partial.name), seconds_max=300)
    for path in (*partial.iterdir(), home.memory, home.disk, partial):
        await asyncio.to_thread(_fsync, path)
    os.rename(partial, final)
    await asyncio.to_thread(_fsync, home.cell)
    seconds = time.perf_counter() - began
    await api.resume()
    final.rename(partial)
    snapshot.end(home)
    return seconds


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


async def _mapped(rig: LocalRig, template_id: str, turns: int) -> list[float]:
    """Hibernate clones for the first time: they map their template's memory."""
    found = []
    for _ in range(turns):
        clone = rig.new_id()
        await rig.driver.clone(template_id, clone)
        await rig.driver.resume(clone)
        await answer(rig, clone, "echo", "up")
        found.append(await _hibernated(rig, clone))
        await rig.driver.destroy(clone)
    return found


async def _at_once(rig: LocalRig, template_id: str, turns: int) -> tuple[list[float], list[float]]:
    """Seconds until one clone has answered, and until four that woke at once have."""
    alone, together = [], []
    for _ in range(turns):
        alone.append(await _woken(rig, template_id, 1))
        together.append(await _woken(rig, template_id, CLONES))
    return alone, together


async def _woken(rig: LocalRig, template_id: str, count: int) -> float:
    names = [rig.new_id() for _ in range(count)]
    await calm(rig.local)

    async def wake(name: str) -> None:
        await rig.driver.clone(template_id, name)
        await rig.driver.resume(name)
        await answer(rig, name, "echo", "up")

    began = time.perf_counter()
    await asyncio.gather(*(wake(name) for name in names))
    seconds = time.perf_counter() - began
    for name in names:
        await rig.driver.destroy(name)
    return seconds


def _hibernations(
    own: dict[int, list[float]], by_hand: list[float], mapped: list[float]
) -> list[Figure]:
    small, large = (own[size] for size in SIZES_MIB)
    hand = statistics.median(small) / statistics.median(by_hand)
    sizes = statistics.median(large) / statistics.median(small)
    return [
        Figure(
            name="hibernate until durable, own memory file of 512 MiB (cloud-hypervisor)",
            unit="s",
            **spread(small),
            yardstick="pause, snapshot, fsync and rename by hand",
            yardstick_p50=round(statistics.median(by_hand), 4),
            ratio=round(hand, 3),
            target=f"at most {BY_HAND_MAX} times",
            passed=hand <= BY_HAND_MAX,
        ),
        Figure(
            name="hibernate until durable, own memory file of 4 GiB (cloud-hypervisor)",
            unit="s",
            **spread(large),
            yardstick="of 512 MiB",
            yardstick_p50=round(statistics.median(small), 4),
            ratio=round(sizes, 3),
            target=f"at most {SIZES_RATIO_MAX} times",
            passed=sizes <= SIZES_RATIO_MAX,
        ),
        Figure(
            name="hibernate until durable, mapped memory of 512 MiB (cloud-hypervisor)",
            unit="s",
            **spread(mapped),
            yardstick="own memory file of 512 MiB",
            yardstick_p50=round(statistics.median(small), 4),
            ratio=round(statistics.median(mapped) / statistics.median(small), 3),
            target="",
            passed=True,
            note="What a clone's first hibernation costs.",
        ),
    ]


def _clones(alone: list[float], together: list[float]) -> Figure:
    ratio = statistics.median(together) / statistics.median(alone)
    most = AT_ONCE_MAX.get(os.cpu_count() or 1, AT_ONCE_MAX_OTHERWISE)
    return Figure(
        name="four clones at once, to the last answer (cloud-hypervisor)",
        unit="s",
        **spread(together),
        yardstick="one clone",
        yardstick_p50=round(statistics.median(alone), 4),
        ratio=round(ratio, 3),
        target=f"at most {most:g} times on {os.cpu_count()} processors",
        passed=ratio <= most,
    )
