"""What `ona work` does again and again, over a pool whose machines run the real guest program."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from adapters.vault.client import Vault
from adapters.vault.logins import by_token_file
from adapters.vault.tokens import Tokens
from bot.automate.files.reading import Reading
from bot.config import Settings
from bot.gateway import gateway_open
from bot.govern.grants import SWEEP_SECONDS, Grants
from bot.govern.instructions import Installed
from bot.govern.rights import Rights
from bot.ground import Ground
from bot.host import Host
from bot.images import CachedImage
from bot.metrics import MACHINES as MACHINES_METRIC
from bot.pools import Pools
from bot.store.blobs import DirectoryBlobs
from bot.store.database import CONTROL, MACHINES, POLICY, Listener
from bot.store.ids import new_id
from bot.supervisor import Signals
from bot.work.checkpoint import Checkpoints
from bot.work.deleting import Deletions
from bot.work.repository import Repositories
from tests.integration.pool.conftest import SPEC
from vmpool.driver import Image
from vmpool.machine import MachineState
from vmpool.memory import HostMemory

WAIT_SECONDS_MAX = 100
_SILENT = text(
    """
    INSERT INTO host (id, name, driver, accelerator, boot_id, seen_at)
    VALUES (:id, 'b', 'fake', 'none', 'b', now() - make_interval(secs => :seconds))
    """
)


@pytest.fixture
async def host(yard, database_url, tmp_path) -> AsyncIterator[Host]:
    """The parts of `ona work` over a fake driver, with nothing started but the listener."""
    settings = Settings(data_dir=tmp_path / "ona")
    settings.host_dir.mkdir(parents=True)
    listener = Listener(database_url, CONTROL, MACHINES, POLICY)
    hearing = asyncio.create_task(listener.run())
    base = Ground(
        settings=settings,
        database=yard.town.database,
        listener=listener,
        signals=Signals(),
        owner="test",
    )
    checkpoints = Checkpoints(
        yard.town.database,
        DirectoryBlobs(settings.data_dir / "blobs"),
        bytes_max=1000,
        inline_bytes_max=1000,
        file_bytes_max=1000,
    )
    repositories = Repositories(settings.data_dir / "mirrors")

    async def image() -> Image:
        return SPEC.image

    async with gateway_open(base, None) as way_out:
        yield Host(
            base=base,
            host_id=yard.town.host_id,
            driver=yard.driver,
            registry=yard.registry,
            pool=yard.pool,
            pools=Pools.of(
                settings,
                yard.town.database,
                pool=yard.pool,
                rows=yard.rows,
                registry=yard.registry,
                driver=yard.driver,
                repositories=repositories,
                image=image,
                engine_image=image,
                grants=None,
            ),
            repositories=repositories,
            automations=Reading(yard.town.database, repositories),
            checkpoints=checkpoints,
            image=CachedImage(settings),
            engine_image=CachedImage(settings, engine=True),
            installed=Installed(settings.agents.instructions),
            deletions=Deletions(yard.town.database, DirectoryBlobs(settings.data_dir / "blobs")),
            grants=None,
            way_out=way_out,
            rights=Rights(yard.town.database, {}),
        )
    hearing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await hearing


async def test_each_chore_of_a_host_has_a_clock_and_a_name_of_its_own(host):
    async with AsyncExitStack() as stack:
        chores = host.chores(stack)
    assert [chore.name for chore in chores] == [
        "requests",
        "idle",
        "pressure",
        "standing still",
        "reconcile",
        "retention",
        "scrub",
        "deletions",
        "images",
        "sweep",
        "report",
        "silent hosts",
        "gauges",
        "charges",
        "automations",
        "handouts",
        "pools",
        "templates",
        "builds",
    ]
    assert all(chore.seconds > 0 for chore in chores)
    assert [chore.name for chore in chores if chore.wake] == [
        "requests",
        "automations",
        "pools",
        "templates",
    ]


async def test_a_hand_out_wakes_whoever_fills_the_pools(host, yard):
    async with AsyncExitStack() as stack:
        (wake,) = [chore.wake for chore in host.chores(stack) if chore.name == "pools"]
    assert wake is not None
    wake.clear()
    await yard.opened(await yard.session())
    assert wake.is_set()


async def test_every_chore_of_a_host_can_be_done_while_machines_run_and_rest(host, yard):
    running, resting = [await yard.opened(await yard.session()) for _ in range(2)]
    await yard.put(resting, request="rest")
    async with AsyncExitStack() as stack:
        for chore in host.chores(stack):
            # That one would build an image.
            if chore.name != "images":
                await chore.run()
    assert await yard.state(running) is MachineState.RUNNING
    assert await yard.state(resting) is MachineState.RESTING
    counted = {
        sample.labels["state"]: sample.value
        for metric in MACHINES_METRIC.collect()
        for sample in metric.samples
    }
    assert counted == {"running": 1, "resting": 1}
    assert host.base.settings.metrics_file.exists()
    assert await yard.town.rows(
        "SELECT driver, accelerator FROM host WHERE id = :id", id=host.host_id
    ) == [("fake", "none")]


async def test_a_host_gives_up_another_that_is_silent_for_as_long_as_the_settings_say(host, yard):
    async with yard.town.database.begin() as tx:
        other = {"id": new_id(), "seconds": host.base.settings.queue.host_grace_seconds + 60}
        await tx.execute(_SILENT, other)
        await tx.execute(text("UPDATE host SET heard_since = now() - interval '1 day'"))
    given_up = "SELECT id FROM host WHERE given_up_at IS NOT NULL"
    await host.report()
    await host.give_up_silent()
    assert await yard.town.rows(given_up) == [(other["id"],)]


async def test_a_host_sweeps_grants_on_the_clock_that_bounds_how_long_they_work_on(host, yard):
    await yard.session()
    left = (
        "INSERT INTO turn_grant (id, session_id, kind, name, mode, purpose, options, owner,"
        " lease_token, state, trace, issued_at, ends_at) SELECT gen_random_uuid(), id, 'gone',"
        " 'it', 'injected', '', '{}', 'gone', 0, 'issued', '{}', now(), now() FROM session"
        " RETURNING id"
    )
    await yard.town.rows(left)
    vault = Vault("http://127.0.0.1:9", by_token_file(Path("/nowhere")))
    grants = Grants(yard.town.database, Tokens(vault, role="any"), {})
    async with AsyncExitStack() as stack:
        chores = replace(host, grants=grants).chores(stack)
        (chore,) = [chore for chore in chores if chore.name == "grants"]
        assert chore.seconds == SWEEP_SECONDS
        assert chore.wake is not None, "a halt does not wait for the clock"
        await chore.run()
    assert await yard.town.rows("SELECT state FROM turn_grant") == [("ended",)]
    await vault.close()


async def test_a_request_of_a_person_wakes_the_host(host, yard):
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await host.base.listener.listening.wait()
        async with AsyncExitStack() as stack:
            (wake,) = [chore.wake for chore in host.chores(stack) if chore.name == "requests"]
            assert wake is not None
            wake.clear()
            async with yard.town.database.begin() as tx:
                tx.hint(MACHINES, host.host_id)
            await wake.wait()


async def do(host: Host, name: str) -> None:
    """Have the chore of this name done once."""
    async with AsyncExitStack() as stack:
        (chore,) = [chore for chore in host.chores(stack) if chore.name == name]
        await chore.run()


async def test_idle_machines_rest_and_old_rests_go_by_chores_of_their_own(host, yard):
    machine_id = await yard.opened(await yard.session())
    row = await yard.row(machine_id)
    await yard.put(machine_id, used_at=row.used_at - timedelta(days=365))
    await do(host, "retention")
    assert await yard.state(machine_id) is MachineState.RUNNING
    await do(host, "idle")
    assert await yard.state(machine_id) is MachineState.RESTING
    await do(host, "pressure")
    assert await yard.state(machine_id) is MachineState.RESTING
    await do(host, "retention")
    assert await yard.state(machine_id) is MachineState.GONE


async def test_a_host_that_is_short_of_memory_has_its_machines_rest_by_a_chore(
    host, yard, monkeypatch
):
    machine_id = await yard.opened(await yard.session())
    await do(host, "pressure")
    assert await yard.state(machine_id) is MachineState.RUNNING
    short = HostMemory(total_mib=16_000, available_mib=100)
    monkeypatch.setattr(yard.pool, "_memory", lambda: short)
    await do(host, "idle")
    assert await yard.state(machine_id) is MachineState.RUNNING
    await do(host, "pressure")
    assert await yard.state(machine_id) is MachineState.RESTING


async def test_what_no_row_owns_is_removed_and_rests_are_read_again_by_chores(
    host, yard, monkeypatch
):
    machine_id = await yard.opened(await yard.session())
    await yard.driver.create(str(new_id()), SPEC)
    await do(host, "reconcile")
    assert set(yard.host.machines) == {str(machine_id)}
    read = []

    async def scrub_next() -> None:
        read.append("one")

    monkeypatch.setattr(yard.driver, "scrub_next", scrub_next)
    await do(host, "scrub")
    assert read == ["one"]
