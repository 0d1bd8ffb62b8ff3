"""The system's ssh and a preview into a real machine that rested."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.conftest import DEMO
from tests.integration.visits.test_previews import VISIT, browser, come_in, made
from tests.integration.web.site import Site, running_site
from tests.support.real_pool import RealPool, real_pool, said
from tests.support.visits import ona, relay_running
from vmpool.driver import Image
from vmpool.drivers.qemu import Qemu
from vmpool.machine import MachineState
from vmpool.ssh import Authority

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

SERVE = "cd /tmp && setsid python3 -m http.server 3000 --bind ::1 > /dev/null 2>&1 < /dev/null &"


class Street:
    """What the helpers of previews want of one."""

    def __init__(self, site: Site) -> None:
        self.site = site


async def opened(site: Site, place: RealPool) -> tuple[str, str]:
    """A session whose machine serves a page on port 3000 and rests: its short id, its machine."""
    short = (await site.ask("!a", project="demo"))["session"]
    ((session_id,),) = await site.rows("SELECT id FROM session WHERE short = :s", s=short)
    async with place.open(session_id) as turn:
        await said(turn.channel, "echo '<h1>from a real machine</h1>' > /tmp/index.html")
        await said(turn.channel, SERVE)
        await said(turn.channel, "until curl -gsf http://[::1]:3000/; do sleep 0.2; done")
    assert await place.pool.rest(turn.machine_id)
    return short, str(turn.machine_id)


async def test_people_get_into_a_machine_that_rested(
    database_url: str, tmp_path: Path, guest_image: Image, vm_directory: Path
) -> None:
    async with running_site(database_url, tmp_path) as site, AsyncExitStack() as stack:
        place = await stack.enter_async_context(
            real_pool(
                site.database.session,
                site.host_id,
                DEMO,
                directory=vm_directory,
                hypervisor=Qemu(accelerator="tcg"),
                image=guest_image,
            )
        )
        relaying = relay_running(
            site,
            vm_directory,
            pool=place.pool,
            registry=place.registry,
            authority=await Authority.load(vm_directory / "ca"),
        )
        await stack.enter_async_context(relaying)
        short, machine_id = await opened(site, place)
        await by_ssh(site, short, machine_id)
        (machine,) = await place.registry.mine(MachineState.RUNNING)
        assert await place.pool.rest(machine.id)
        await by_preview(site, short)


async def by_ssh(site: Site, short: str, machine_id: str) -> None:
    first, again = [
        await ona(site, "sessions", "ssh", short, "--", "id -un; hostname; which ona-preview")
        for _ in range(2)
    ]
    assert first.status == again.status == 0, first.err
    assert first.out == again.out == f"agent\n{machine_id}\n/usr/bin/ona-preview\n"
    assert ("wakes" in first.err, "wakes" in again.err) == (True, False)
    failed = await ona(site, "sessions", "ssh", short, "--", "exit 3")
    assert failed.status == 3


async def by_preview(site: Site, short: str) -> None:
    street = Street(site)
    host = await made(street, short, 3000)  # type: ignore[arg-type]
    async with browser(street) as client:  # type: ignore[arg-type]
        headers = {"host": host, "cookie": await come_in(client, host), **VISIT}
        async with asyncio.timeout(120):
            while (answer := await client.get("/", headers=headers)).status_code == 503:
                await asyncio.sleep(0.5)
    assert "from a real machine" in answer.text
