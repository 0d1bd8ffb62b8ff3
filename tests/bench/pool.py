"""Machines handed out of a pool, against the bare steps on machines of the same template.

The yardstick has no pool, no row and no lease: a clone that is laid out is restored and resumed (or
a paused one goes on), and one command is asked over SSH. Under Cloud Hypervisor these are requests
by hand to a process that waits, under QEMU the driver's resume. Both are measured in turns in the
same run, each on a host that has nothing else to do.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

from bot.config import SIZES, MachineSettings
from bot.store.database import Database
from bot.store.ids import new_id
from tests.bench.figures import Figure, spread
from tests.bench.town import Town, databases
from tests.fakes.caches import images_dir
from tests.support.calm import calm
from tests.support.real_pool import SECONDS, RealPool, real_pool
from vmpool.channel import Channel, open_machine
from vmpool.driver import Image
from vmpool.drivers.cloud_hypervisor import CloudHypervisor, config, snapshot
from vmpool.drivers.cloud_hypervisor.api import Api
from vmpool.drivers.cloud_hypervisor.control import API_SOCKET
from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.qemu import Qemu
from vmpool.image import ensure_image
from vmpool.machine import Template, TemplateState, Tier
from vmpool.memory import private_mib
from vmpool.ssh import Authority
from vmpool.warm.building import BuildLog
from vmpool.warm.past import profile
from vmpool.warm.plan import Pool as Planned
from vmpool.warm.plan import Room, Stage, Waiting, plan
from vmpool.warm.sizing import SizingLimits, targets

TURNS = 4
SIZE = MachineSettings().size
"""Of the machines: what a session gets that asks for none."""
RATIO_MAX = 1.3
PRIVATE_SHARE_MAX = 0.02
BOOT_RATIO_MIN = 50.0
DECISION_SECONDS_MAX = 0.02
MACHINES, POOLS, CLAIMS = 10_000, 500, 400
HISTORY_SECONDS = 5 * 7 * 86400.0
SET_UP = """set -e
mkdir seed; for each in asyncio email http json unittest xml; do
cp -r /usr/lib/python3.*/$each seed; done; cd seed; git init -q; git add -A
git -c user.name=a -c user.email=a@example.org commit -qm seed; cd ..
git clone -q seed project; cd project; python3 -m compileall -q . > /dev/null || true
"""
"""A project's repository and its set-up: six packages of Python's own, cloned and compiled."""
SET_UP_SECONDS_MAX = 900.0
MARK = "FIGURE "
"""Before each figure that the bed prints."""


class Bench:
    """A pool, and beside it machines of its template that the driver alone handles."""

    def __init__(self, place: RealPool, authority: Authority) -> None:
        self._place = place
        self._authority = authority
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.private_shares: list[float] = []

    async def run(self, turns: int) -> None:
        """Measure everything in turns; the first turn warms caches and does not count."""
        await self._place.build(_furnish)
        (template,) = await self._place.rows.templates(TemplateState.READY)
        for turn in range(turns + 1):
            await self._place.keeper.tend()
            await self._claim(Tier.HOT)
            await self._hot_by_hand(template)
            await self._claim(Tier.COLD)
            await self._cold_by_hand(template)
            if turn == 0:
                self.seconds.clear()
                self.private_shares.clear()
        await self._claim(Tier.BOOT)

    async def _claim(self, tier: Tier) -> None:
        await calm(self._place.driver)
        began = time.perf_counter()
        async with self._place.open(uuid4()) as opened:
            await _answered(opened.channel)
            if tier is Tier.BOOT:
                self.seconds["bare boot"].append(time.perf_counter() - began)
                await _set_up(opened.channel)
            self.seconds[tier.value].append(time.perf_counter() - began)
            assert opened.tier is tier, opened.tier
            if tier is Tier.HOT:
                sight = await self._place.driver.look(str(opened.machine_id))
                taken = await asyncio.to_thread(private_mib, sight.pid or 0)
                memory_mib = self._place.order.spec.memory_mib
                self.private_shares.append((taken or 0) / memory_mib)
        machine = await self._place.registry.get(opened.machine_id)
        assert machine is not None
        if tier is Tier.HOT:
            await self._own(opened.machine_id)
        await self._place.pool.destroy(opened.machine_id, "it was measured")

    async def _own(self, machine_id: UUID) -> None:
        """Hibernate the session's machine and wake it again."""
        machine = await self._place.registry.get(machine_id)
        assert machine is not None
        assert machine.session_id is not None
        assert await self._place.pool.rest(machine.id)
        await self._place.driver.settled(str(machine.id))
        await calm(self._place.driver)
        began = time.perf_counter()
        async with self._place.open(machine.session_id) as opened:
            await _answered(opened.channel)
            self.seconds["own"].append(time.perf_counter() - began)

    async def _by_hand(self, template: Template) -> tuple[str, Channel]:
        driver, name = self._place.driver, str(new_id())
        await driver.clone(str(template.id), name)
        resume = await self._bare_resume(name)
        await calm(driver)
        began = time.perf_counter()
        await resume()
        channel = await open_machine(
            lambda: driver.open_channel(name),
            machine_id=name,
            token=0,
            generation=template.generation + 1,
            authority=self._authority,
            deadline_seconds=SECONDS,
        )
        await _answered(channel)
        self.seconds["cold by hand"].append(time.perf_counter() - began)
        return name, channel

    async def _bare_resume(self, name: str) -> Callable[[], Awaitable[None]]:
        """The least that wakes a clone: under Cloud Hypervisor two requests to a ready process."""
        driver = self._place.driver
        if not isinstance(driver.hypervisor, CloudHypervisor):
            return partial(driver.resume, name)
        home, spec = driver._known(name)
        launch = await driver._launcher.start(home, spec, loading=True)
        driver._hold(home, launch, adopted=False)
        machine = config.config(spec, network=driver.hypervisor.network)
        loading = snapshot.lay_out(home.rest.complete, home, machine)
        api = Api(lambda: home.connect(API_SOCKET))

        async def resume() -> None:
            await api.restore(snapshot.url(loading), seconds_max=SECONDS)
            await api.resume()

        await api.ping()
        home.rest.use_up()
        return resume

    async def _cold_by_hand(self, template: Template) -> None:
        name, channel = await self._by_hand(template)
        await channel.close()
        await self._place.driver.destroy(name)

    async def _hot_by_hand(self, template: Template) -> None:
        name, channel = await self._by_hand(template)
        self.seconds["cold by hand"].pop()
        channel.stand_still()
        await self._place.driver.pause(name)
        await calm(self._place.driver)
        began = time.perf_counter()
        await self._place.driver.unpause(name)
        await _answered(channel)
        self.seconds["hot by hand"].append(time.perf_counter() - began)
        await channel.close()
        await self._place.driver.destroy(name)


async def _furnish(channel: Channel, build_log: BuildLog) -> str:
    async with build_log.step("set up"):
        await _set_up(channel)
    return "c1"


async def _set_up(channel: Channel) -> None:
    done = await channel.run(["sh", "-c", SET_UP], timeout_seconds=SET_UP_SECONDS_MAX)
    assert done.exit_status == 0, done.stderr


async def _answered(channel: Channel) -> None:
    done = await channel.run(["true"], timeout_seconds=SECONDS)
    assert done.exit_status == 0


def measure() -> list[Figure]:
    """On the Cloud Hypervisor that CLOUD_HYPERVISOR names, in the bed if need be; else on QEMU."""
    if not os.environ.get("CLOUD_HYPERVISOR"):
        return asyncio.run(_on_qemu())
    tests = ("-s", "-m", "nested", "tests/integration/vm/test_pool_figures.py")
    command = [sys.executable, "-u", "-m", "tests.nested", *tests]
    figures = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bed:
        assert bed.stdout is not None
        for line in bed.stdout:
            print(line, end="", flush=True)
            _, mark, said = line.partition(MARK)
            if mark:
                figures.append(Figure(**json.loads(said)))
    if bed.returncode:
        raise subprocess.CalledProcessError(bed.returncode, command)
    return figures


async def _on_qemu() -> list[Figure]:
    image = await ensure_image(images_dir(), progress=print)
    async with databases() as make:
        town = Town(make())
        await town.settle()
        with tempfile.TemporaryDirectory(prefix="ona-bench-") as directory:
            try:
                return await measure_on(
                    town.database,
                    town.host,
                    directory=Path(directory),
                    hypervisor=Qemu(accelerator="tcg"),
                    image=image,
                )
            finally:
                await town.database.close()


async def measure_on(
    database: Database,
    host_id: UUID,
    *,
    directory: Path,
    hypervisor: Hypervisor,
    image: Image,
    turns: int = TURNS,
) -> list[Figure]:
    """All figures of one hypervisor."""
    async with real_pool(
        database.session,
        host_id,
        new_id(),
        directory=directory,
        hypervisor=hypervisor,
        image=image,
        size=SIZES[SIZE],
    ) as place:
        bench = Bench(place, await Authority.load(directory / "ca"))
        await bench.run(turns)
    return _figures(bench, f"{hypervisor.name}, {hypervisor.accelerator}")


def _figures(bench: Bench, where: str) -> list[Figure]:
    found = bench.seconds
    shares, memory_mib = bench.private_shares, SIZES[SIZE].memory_mib
    booted = statistics.median(found["boot"]) / statistics.median(found["hot"])
    return [
        _ratio(f"claim of a hot machine ({where})", found["hot"], found["hot by hand"]),
        _ratio(f"claim of a cold machine ({where})", found["cold"], found["cold by hand"]),
        _ratio(f"resume of a session's machine ({where})", found["own"], found["cold by hand"]),
        Figure(
            name=f"a clone's own memory after its hand-out ({where})",
            unit="share of the guest's memory",
            **spread(shares),
            yardstick="",
            target=f"at most {PRIVATE_SHARE_MAX:.0%}",
            passed=statistics.median(shares) <= PRIVATE_SHARE_MAX,
            note=f"{statistics.median(shares) * memory_mib:.1f} MiB of {memory_mib}: a {SIZE} one, "
            "with a login open; it is as much whatever the size.",
        ),
        Figure(
            name=f"cold boot and set-up instead of a hot claim ({where})",
            unit="s",
            **spread(found["boot"]),
            yardstick="the hot claim",
            yardstick_p50=round(statistics.median(found["hot"]), 4),
            ratio=round(booted, 1),
            target=f"at least {BOOT_RATIO_MIN:g} times",
            passed=booted >= BOOT_RATIO_MIN,
            note="Set-up: six packages of Python's own, committed, cloned, compiled. Boot alone: "
            f"{found['bare boot'][0]:.1f} s.",
        ),
    ]


def _ratio(name: str, ours: list[float], theirs: list[float]) -> Figure:
    ratio = statistics.median(ours) / statistics.median(theirs)
    return Figure(
        name=f"{name}, to the first answer",
        unit="s",
        **spread(ours),
        yardstick="the bare step by hand, a login where there is none, and one command over SSH",
        yardstick_p50=round(statistics.median(theirs), 4),
        ratio=round(ratio, 3),
        target=f"at most {RATIO_MAX} times",
        passed=ratio <= RATIO_MAX,
    )


def decide(turns: int = 20) -> list[Figure]:
    """CPU time of one decision over 10,000 machines that wait in 500 pools."""
    dice, now = Random(1), datetime(2026, 1, 7, 12, tzinfo=UTC)
    moment = now.timestamp()
    limits = SizingLimits(
        hot_min=0, hot_max=40, cold_min=1, cold_max=40, keep_seconds=HISTORY_SECONDS
    )
    pools = []
    for _ in range(POOLS):
        claims = sorted(moment - dice.random() * HISTORY_SECONDS for _ in range(CLAIMS))
        known = profile(claims, moment, refill_seconds=1.0, at_once=1)
        pools.append((new_id(), claims[-3:], known))
    waiting = [
        Waiting(
            id=new_id(),
            template_id=dice.choice(pools)[0],
            stage=dice.choice([Stage.HOT, Stage.COLD]),
            seconds=dice.random() * 200,
        )
        for _ in range(MACHINES)
    ]
    seconds = []
    for _ in range(turns):
        began = time.process_time()
        planned = []
        for template_id, recent, known in pools:
            wanted = targets(known, recent, now, refill_seconds=1.0, at_once=1, limits=limits)
            planned.append(
                Planned(
                    template_id=template_id,
                    hot=wanted.hot,
                    cold=wanted.cold,
                    claims_per_hour=wanted.claims_per_hour,
                    memory_mib=100,
                )
            )
        plan(planned, waiting, Room(memory_mib=100_000, machines=1000, disk=True))
        seconds.append(time.process_time() - began)
    return [
        Figure(
            name=f"one decision with {MACHINES:,} machines in {POOLS} pools, CPU time",
            unit="s",
            **spread(seconds),
            yardstick="",
            target=f"at most {DECISION_SECONDS_MAX * 1000:g} ms",
            passed=statistics.median(seconds) <= DECISION_SECONDS_MAX,
        )
    ]
