"""The agents of the guest image, in a real machine: they are there, start and speak ACP."""

import asyncio
import json

import pytest

from adapters.agent.acp.profiles import Profile, known
from tests.integration.vm.conftest import AGENTS, Vm
from vmpool.driver import Image
from vmpool.image_recipe.layers import COMMANDS, HOME, layers_of
from vmpool.image_recipe.recipe import recipe_of_host
from vmpool.jobs import JobOutput, JobSpec

pytestmark = [
    pytest.mark.vm,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(1500),  # under emulation, on a host that does other things too
]

ANSWER_SECONDS = 1000
"""OpenCode's start takes 5 s without emulation, and many times that with it."""
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": 1, "clientCapabilities": {}},
}


async def said(vm: Vm, script: str) -> list[str]:
    done = await (await vm.channel()).run(["sh", "-c", script], timeout_seconds=ANSWER_SECONDS)
    assert done.exit_status == 0, done
    return done.stdout.decode().splitlines()


async def test_its_files_are_roots_and_can_be_read_by_everybody(agents_vm: Vm) -> None:
    strange = f"find /{HOME} /{COMMANDS} ! -user root -o ! -group root"
    assert await said(agents_vm, strange) == []
    closed = f"find /{HOME} ! -type l ! -perm -o=r; find /{HOME} -type d ! -perm -o=x"
    assert await said(agents_vm, closed) == []
    assert await said(agents_vm, f"find /{HOME} ! -type l -perm /go=w") == []


async def test_people_find_its_own_command_and_no_node_of_ours(agents_vm: Vm) -> None:
    own = {"claude-code": "claude", "codex": "codex", "opencode": "opencode"}
    for agent in AGENTS:
        assert await said(agents_vm, f"command -v {own[agent]}") == [f"/{COMMANDS}/{own[agent]}"]
    assert await said(agents_vm, "command -v node || echo none") == ["none"]


async def test_only_what_runs_here_is_in_the_image(agents_vm: Vm) -> None:
    assert await said(agents_vm, f"find /{HOME} -path '*64-musl/*' -o -name '*.map'") == []
    assert await said(agents_vm, f"find /{HOME} -name '*darwin-*' -o -name '*win32-*'") == []


async def test_an_image_with_agents_is_not_large(agents_image: Image) -> None:
    mib = agents_image.disk.stat().st_blocks * 512 >> 20
    assert mib < 600 + 600 * len(AGENTS)


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_agent_introduces_itself_in_the_version_that_is_pinned(
    agents_vm: Vm, agent: str
) -> None:
    answer = await introduced(agents_vm, known(())[agent])
    *_, layer = layers_of((agent,), recipe_of_host().architecture)
    assert answer["result"]["protocolVersion"] == 1
    assert answer["result"]["agentInfo"]["version"] == layer.version
    assert answer["result"]["agentCapabilities"]["loadSession"] is True


async def introduced(vm: Vm, profile: Profile) -> dict:
    """Its answer to the protocol's first request, as a job of the agent's user."""
    channel = await vm.channel()
    spec = JobSpec(id=f"say-{profile.name}", argv=profile.argv, env=profile.environment, input=True)
    await channel.start_job(spec)
    await channel.send_input(spec.id, 0, json.dumps(INITIALIZE).encode() + b"\n")
    heard = b""
    async with asyncio.timeout(ANSWER_SECONDS):
        async for event in channel.attach(spec.id):
            heard += event.data if isinstance(event, JobOutput) else b""
            line, found, _ = heard.partition(b"\n")
            if found:
                await channel.stop_job(spec.id, 5)
                return json.loads(line)
    raise AssertionError(f"{profile.name} ended without an answer: {heard!r}")
