"""Dev containers in real machines, of images from a registry that is reached by the gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from bot.store.ids import new_id
from bot.work.container import Containers
from bot.work.detect.devcontainer import understood
from bot.work.detect.guessing import detected
from bot.work.furnish import Furnishing
from bot.work.jobs import ChannelJobs
from bot.work.repository import Repositories
from tests.fakes import git_tree
from tests.integration.conftest import DEMO, Town
from tests.integration.vm.conftest import Vm
from tests.support import oci
from tests.support.gateway import LOOPBACK, MemoryNames, Zone, allow
from tests.support.isolated import isolated
from tests.support.real_pool import RealPool, real_pool
from vmpool.channel import Channel
from vmpool.driver import Image, MachineSpec
from vmpool.drivers.local import LocalDriver
from vmpool.drivers.qemu import Qemu
from vmpool.jobs import JobExit, JobOutput, JobQuestion, JobSpec
from vmpool.machine import TemplateState
from vmpool.network.gateway import Access, Gateway, Identity
from vmpool.network.policy import Policy
from vmpool.network.slots import missing
from vmpool.ssh import Authority
from vmpool.warm.building import StepFailed

WHY_NOT = missing() or oci.missing()
pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1800),  # under emulation, on a host that does other things too
    pytest.mark.skipif(bool(WHY_NOT), reason=f"!!! NOT TESTED: {WHY_NOT}"),
]
SECONDS = 1500.0
NAME = "registry.test"
CONFIG = """{
    // The image is made of a file, and a feature that lies beside it.
    "build": {"dockerfile": "Dockerfile", "args": {"WORD": "built"}},
    "features": {"./tool": {"word": "hello"}},
    "containerEnv": {"FROM_FILE": "yes"},
    "remoteEnv": {"REMOTE": "${containerEnv:FROM_FILE} too"},
    "postCreateCommand": "pwd > created",
    "postStartCommand": {"one": "echo yes > started"},
    "forwardPorts": [3000, "db:5432"],
    "customizations": {"vscode": {"extensions": ["some.thing"]}},
}
"""
INSTALL = """#!/bin/sh
set -e
printf '#!/bin/sh\\necho %s from the tool\\n' "$WORD" > /usr/bin/tool
chmod 755 /usr/bin/tool
"""


def files(port: int) -> git_tree.Files:
    feature = {"id": "tool", "version": "1.0.0", "options": {"word": {"type": "string"}}}
    dockerfile = f"FROM {NAME}:{port}/base:1\nARG WORD\nRUN echo $WORD > /etc/built\n"
    return {
        b".devcontainer/devcontainer.json": CONFIG.encode(),
        b".devcontainer/Dockerfile": dockerfile.encode(),
        b".devcontainer/tool/devcontainer-feature.json": json.dumps(feature).encode(),
        b".devcontainer/tool/install.sh": INSTALL.encode(),
        b"index.html": b"seen from outside\n",
    }


@pytest.fixture(scope="module")
def port(vm_directory: Path) -> Iterator[int]:
    """Of a registry that has one small image."""
    with oci.registry(vm_directory) as port:
        oci.push(f"{LOOPBACK}:{port}", "base", "1", oci.busybox_tree())
        yield port


@pytest.fixture
async def gateway(port: int) -> AsyncIterator[Gateway]:
    """Lets machines reach that registry and nothing else."""
    lines = allow(f"{NAME}:{port}", f"{LOOPBACK}:{port}")

    async def access(_who: Identity) -> Access:
        return Access(Policy(rules=lines))

    zone = Zone({NAME: [LOOPBACK]})
    made = Gateway(access=access, audit=lambda _: None, names=MemoryNames(), resolve=zone)
    yield made
    await made.close()


@pytest.fixture
async def place(
    town: Town, engine_image: Image, vm_directory: Path, gateway: Gateway
) -> AsyncIterator[RealPool]:
    async with real_pool(
        town.database.session,
        town.host_id,
        DEMO,
        directory=vm_directory,
        hypervisor=Qemu(accelerator="tcg"),
        image=engine_image,
        cold=0,
        way_out=gateway,
    ) as place:
        yield place


@pytest.fixture
async def vm(engine_image: Image, vm_directory: Path, gateway: Gateway) -> AsyncIterator[Vm]:
    qemu = Qemu(accelerator="tcg")
    apart = isolated(vm_directory, qemu)
    driver = LocalDriver(vm_directory, qemu, isolation=apart, way_out=gateway)
    spec = MachineSpec(image=engine_image, vcpus=2, memory_mib=512, disk_gib=8)
    vm = Vm(driver, spec, await Authority.load(vm_directory / "ca"))
    try:
        await vm.boot()
        yield vm
    finally:
        await vm.close()
        await driver.close()


def containers(port: int, **more: object) -> Containers:
    return Containers(seconds_max=SECONDS, plain_http=[f"{NAME}:{port}"], **more)


async def told(channel: Channel, script: str, **environment: str) -> str:
    """What a job of a turn says, and how it ends; what it asks is answered with "blue"."""
    spec = JobSpec(id=str(new_id()), argv=("sh", "-c", script), cwd="/work/demo", env=environment)
    await channel.start_job(spec)
    said, status = bytearray(), None
    async for event in channel.attach(spec.id):
        match event:
            case JobOutput():
                said += event.data
            case JobQuestion():
                await channel.answer(spec.id, event.question_id, "blue")
            case JobExit():
                status = event.status.exit_status
    return f"{said.decode()}[{status}]"


async def test_a_session_starts_in_the_container_that_its_template_was_made_with(
    place: RealPool, port: int, tmp_path: Path
) -> None:
    git_tree.make(tmp_path / "origin", files(port))
    repositories = Repositories(tmp_path / "mirrors")
    await repositories.update(DEMO, str(tmp_path / "origin"))
    base = await repositories.base(DEMO, None)
    furnishing = Furnishing(
        project_id=DEMO,
        base=base,
        origin_url=str(tmp_path / "origin"),
        directory="/work/demo",
        setup=["tool > set-up"],
        start=["httpd -f -p 127.0.0.1:3000 -h /work/demo"],
        setup_seconds_max=SECONDS,
        detected=detected(await repositories.tree(DEMO, base.commit)),
        containers=containers(port, kept=[".mine/sessions"]),
    )
    await place.build(partial(furnishing, repositories))
    (template,) = await place.rows.templates()
    assert template.state is TemplateState.READY, template.steps
    made = next(step for step in template.steps if step.get("container"))
    assert made["exit_status"] == 0, made["output"]
    assert (made["ports"], made["left_out"]) == ("3000", "forwardPorts db:5432")
    await place.keeper.tend()
    async with place.open(new_id()) as opened:
        channel = opened.channel
        assert await told(channel, "cat /etc/built set-up created started") == (
            "built\nhello from the tool\n/workspaces/demo\nyes\n[0]"
        )
        seen = await told(channel, 'echo "$FROM_FILE, $REMOTE, $TURN"; pwd; id -u', TURN="t1")
        assert seen == "yes, yes too, t1\n/work/demo\n0\n[0]"
        assert (await told(channel, 'ona-ask "which colour?"')) == "blue\n[0]"
        assert await told(channel, "command -v python3; exit 7") == "[7]"
        kept = "mkdir -p ~/.mine/sessions && echo x > ~/.mine/sessions/one"
        assert await told(channel, kept) == "[0]"
        outside = await channel.run(["cat", ".mine/sessions/one"], timeout_seconds=60)
        assert outside.stdout == b"x\n", "a checkpoint finds it in the machine"
        owner = await channel.run(["stat", "-c", "%U", "/work/demo/set-up"], timeout_seconds=60)
        assert owner.stdout == b"agent\n"
        assert await page(channel, 3000) == b"seen from outside\n"
        await stopped_whole(channel)


async def page(channel: Channel, port: int) -> bytes:
    """The body of what a preview would show."""
    reader, writer = await channel.open_port(port)
    writer.write(b"GET /index.html HTTP/1.0\r\n\r\n")
    whole = await reader.read()
    writer.close()
    return whole.partition(b"\r\n\r\n")[2]


async def stopped_whole(channel: Channel) -> None:
    """A job that is stopped leaves nothing in the container, which goes on."""
    spec = JobSpec(id="long", argv=("sh", "-c", "sleep 9999 & echo up; sleep 9998"))
    await channel.start_job(spec)
    async for event in channel.attach("long"):
        if isinstance(event, JobOutput):
            break
    status = await channel.stop_job("long", 1.0)
    assert (status.stopped, status.processes) == (True, 0)
    left = await told(channel, "ps -o args | grep -c 'slee[p] 99'")
    assert left == "0\n[1]"


async def test_what_policy_refuses_is_said_and_a_user_of_the_image_is_who_works_in_it(
    vm: Vm, port: int
) -> None:
    channel = await vm.channel()
    await channel.run(["git", "init", "-q", "/work/demo"], timeout_seconds=60)
    refused = understood(".devcontainer.json", '{"image": "other.test/base:1"}')
    with pytest.raises(StepFailed) as error:
        await containers(port).make(channel, refused, "/work/demo")
    assert "other.test:443 is not allowed: no line of the policy names it" in str(error.value)
    assert error.value.output.endswith(f"{error.value}\n")
    assert await told(channel, "command -v git") == "/usr/bin/git\n[0]", "beside any container"

    config = {"image": f"{NAME}:{port}/base:1", "remoteUser": "dev", "userEnvProbe": "none"}
    wanted = understood(".devcontainer.json", json.dumps(config))
    await channel.run(["touch", "/work/demo/.devcontainer.json"], timeout_seconds=60)
    await containers(port).make(channel, wanted, "/work/demo")
    assert await told(channel, "id -un; command -v git; touch mine; echo $HOME") == (
        "dev\n/home/dev\n[0]"
    )
    owner = await channel.run(["stat", "-c", "%U", "/work/demo/mine"], timeout_seconds=60)
    assert owner.stdout == b"agent\n"

    await channel.run(
        ["env", "XDG_RUNTIME_DIR=/run/user/1000", "podman", "stop", "-a", "-t0"],
        timeout_seconds=SECONDS,
    )
    assert await told(channel, "echo again") == "again\n[0]", "it is started once more"
    jobs = ChannelJobs(channel)
    await jobs.start(
        "shell", ["no-such-agent"], directory="/work/demo", environment={}, merge_stderr=True
    )
    async with asyncio.timeout(SECONDS):
        ended = [item async for item in jobs.attach("shell", stdout_offset=0, stderr_offset=0)][-1]
    assert ended.exit_status == 127
