"""A template's set-up and services as its project names them, and what follows if they fail."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import git_tree
from tests.integration.conftest import Town
from tests.integration.pool.conftest import Yards
from tests.integration.pool.test_guessed_set_up import Host
from vmpool.machine import TemplateState

WAIT_SECONDS_MAX = 100


@pytest.fixture
def host(town: Town, yards: Yards, tmp_path: Path) -> Host:
    git_tree.make(tmp_path / "origin", {b"README": b"hello\n"})
    return Host(town, yards.make(running_max=12, memory_mib_max=100_000), tmp_path)


async def test_commands_run_in_the_repository_one_after_the_other_and_are_logged(host: Host):
    template = await host.build('["pwd", "cat README; echo noise >&2"]')
    assert (template.state, template.note) == (TemplateState.READY, None)
    said = [(step["step"], step["exit_status"], step["output"]) for step in template.steps]
    assert said[2:-1] == [
        ("pwd", 0, f"{host.repository}\n"),
        ("cat README; echo noise >&2", 0, "hello\nnoise\n"),
    ]


@pytest.mark.parametrize(
    ("seconds_max", "bad", "status", "why"),
    [
        (600, "echo no rule; exit 3", 3, "ended with status 3"),
        (0.6, "echo begun; sleep 100", 124, "did not end within 0.01 minutes"),
    ],
)
async def test_one_that_fails_or_takes_too_long_fails_the_build_with_its_words(
    host: Host, seconds_max: float, bad: str, status: int, why: str
):
    limits = replace(host.templates._limits, setup_seconds_max=seconds_max)
    host.templates._limits = limits
    template = await host.build(json.dumps([bad, "touch never"]))
    assert (template.state, template.note) == (TemplateState.FAILED, f"`{bad}` {why}")
    assert (template.step_number, template.step_count) == (3, 5), "those that were to come count"
    last = template.steps[-1]
    assert (last["step"], last["exit_status"]) == (bad, status)
    assert "no rule\n" in last["output"] or status == 124
    assert not (host.repository / "never").exists()
    assert (host.yard.host.machines, host.yard.host.templates) == ({}, {})


async def test_services_run_on_and_are_part_of_the_template(host: Host):
    service = "while :; do echo once >> served; sleep 0.05; done"
    template = await host.build('["true"]', json.dumps([service]))
    assert template.state is TemplateState.READY
    assert (template.step_number, template.step_count) == (5, 5)
    assert [step["step"] for step in template.steps][-2:] == [f"start: {service}", "freeze"]
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not (host.repository / "served").exists():
            await asyncio.sleep(0.01)


async def test_a_service_that_ends_at_once_with_an_error_fails_the_build(host: Host):
    template = await host.build("[]", json.dumps(["echo no port; exit 4"]))
    assert template.state is TemplateState.FAILED
    assert template.note == "`echo no port; exit 4` ended with status 4 right after its start"
    assert template.steps[-1]["output"] == "no port\n"
    assert host.yard.host.templates == {}
