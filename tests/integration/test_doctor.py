"""`ona doctor` on this host, as it is and with things taken away."""

import os
import time

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.config import (
    AgentsSettings,
    CheckpointSettings,
    DatabaseSettings,
    MachineSettings,
    Settings,
    SizeSettings,
)
from bot.doctor import host, hosts, installation
from bot.doctor.examine import CHECKS, examine
from bot.doctor.finding import Verdict, as_rows
from bot.host import host_identity
from bot.store.blobs import DirectoryBlobs
from bot.store.ids import new_id
from tests.support.postgres import embedded
from vmpool.image import AGE_DAYS_MAX
from vmpool.image_recipe.recipe import recipe_of_host
from vmpool.layers import path_of

_LARGE = text(
    """
    INSERT INTO checkpoint (id, session_id, base, head, tree, size, blob, left_out, created_at)
    VALUES (:id, :session, '', '', '', 5, :blob, '[]', now())
    """
)


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "data")


def with_image(settings: Settings, *, days: float) -> None:
    kernel = settings.image_cache / "image-abc" / "kernel"
    kernel.parent.mkdir(parents=True)
    kernel.touch()
    os.utime(kernel, (time.time() - days * 86400,) * 2)


@pytest.mark.vm
async def test_every_thing_has_a_finding_and_those_that_are_not_fine_say_what_follows(settings):
    findings = await examine(settings)
    assert [finding.name for finding in findings] == [name for name, _ in CHECKS]
    for finding in findings:
        assert finding.found
        assert (finding.verdict is Verdict.FINE) == (not finding.follows), finding
    assert len(as_rows(findings)) == len(CHECKS)
    assert not settings.data_dir.exists()


@pytest.mark.vm
async def test_what_was_found_out_about_kvm_is_remembered_where_ona_lives(settings):
    settings.host_dir.mkdir(parents=True)
    first = await host.check_accelerator(settings)
    again = await host.check_accelerator(settings)
    assert first == again
    assert first.name == "KVM"


async def test_without_qemu_no_machine_can_run_and_kvm_can_not_be_tried(settings):
    lacking = settings.model_copy(update={"machine": MachineSettings(qemu="/nowhere/qemu")})
    found = await host.check_qemu(lacking)
    assert found.verdict is Verdict.MISSING
    assert "/nowhere/qemu" in found.found
    assert "apt-get install qemu-system-x86" in found.do


async def test_missing_programs_are_named_with_their_packages(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(host, "SBIN", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await host.check_programs(settings)
    assert found.verdict is Verdict.MISSING
    assert found.found == "git, ssh, qemu-img not found"
    assert found.do == "Install: apt-get install git openssh-client qemu-utils"


async def test_what_makes_the_image_matters_less_once_there_is_one(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(host, "SBIN", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (await host.check_image_programs(settings)).verdict is Verdict.MISSING
    with_image(settings, days=1)
    assert (await host.check_image_programs(settings)).verdict is Verdict.LESS


@pytest.mark.parametrize("days", [1, AGE_DAYS_MAX + 1])
async def test_the_image_is_judged_as_it_will_be_at_the_next_start(settings, days):
    assert (await installation.check_image(settings)).found == "not made yet"
    recipe = recipe_of_host()
    made_at = int(time.time() - days * 86400)
    packages = settings.image_cache / f"base-{recipe.base_key}-{made_at}"
    packages.mkdir(parents=True)
    (packages / "manifest").write_text("git 1\n")
    missing = await installation.check_image(settings)
    assert missing.verdict is Verdict.LESS
    digest = recipe.image_digest("git 1\n")
    (settings.image_cache / f"image-{digest}").mkdir()
    found = await installation.check_image(settings)
    assert found.found == f"packages of {days:.0f} days ago"
    if days <= AGE_DAYS_MAX:
        assert "seconds" in missing.follows
        assert found.verdict is Verdict.FINE
    else:
        assert "makes it again" in found.follows


async def test_an_image_of_another_guest_program_is_none_of_ours(settings):
    with_image(settings, days=1)
    assert (await installation.check_image(settings)).found == "not made yet"


async def test_agents_are_named_with_their_versions_and_why_one_is_missing(settings):
    assert "none are wanted" in (await installation.check_agents(settings)).found
    wanted = AgentsSettings(installed=("claude-code", "opencode"))
    settings = settings.model_copy(update={"agents": wanted})
    early = await installation.check_agents(settings)
    assert early.verdict is Verdict.FINE
    assert early.found == "claude-code, opencode will be put into the guest image when it is made"
    recipe = recipe_of_host(agents=settings.agents_installed)
    packages = settings.image_cache / f"base-{recipe.base_key}-{time.time():.0f}"
    packages.mkdir(parents=True)
    (packages / "manifest").write_text("git 1\n")
    node, claude, opencode = recipe.layers
    path_of(settings.image_cache, opencode).mkdir()
    (settings.image_cache / "failed-node").write_text("the npm registry can't be reached")
    less = await installation.check_agents(settings)
    assert less.verdict is Verdict.LESS
    assert less.found == (
        f"opencode {opencode.version}; claude-code is missing: the npm registry can't be reached"
    )
    for layer in (node, claude):
        path_of(settings.image_cache, layer).mkdir()
    fine = await installation.check_agents(settings)
    assert fine.verdict is Verdict.FINE
    assert fine.found == f"claude-code {claude.version}; opencode {opencode.version}"


async def test_refused_user_namespaces_say_what_else_can_be_done(settings, monkeypatch, tmp_path):
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted'; exit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = await host.check_user_namespaces(settings)
    assert found.verdict is Verdict.MISSING
    assert "not permitted" in found.found
    assert found.do


async def test_a_data_directory_below_a_file_can_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    found = await installation.check_data_dir(Settings(data_dir=tmp_path / "file" / "data"))
    assert found.verdict is Verdict.MISSING
    assert "ONA_DATA_DIR" in found.do


async def test_a_data_directory_that_is_open_to_others_is_noted(settings):
    assert (await installation.check_data_dir(settings)).verdict is Verdict.FINE
    settings.data_dir.mkdir(mode=0o755)
    assert (await installation.check_data_dir(settings)).verdict is Verdict.LESS
    settings.data_dir.chmod(0o700)
    assert (await installation.check_data_dir(settings)).verdict is Verdict.FINE


async def test_a_database_that_does_not_answer_is_missing_without_its_password(settings, tmp_path):
    url = f"postgresql+psycopg://u:hunter2@/d?host={tmp_path}"
    away = settings.model_copy(update={"database": DatabaseSettings(url=url)})
    found = await installation.check_database(away)
    assert found.verdict is Verdict.MISSING
    assert "hunter2" not in str(found)


async def test_a_database_that_answers_is_told_with_its_version(settings, database_url):
    there = settings.model_copy(update={"database": DatabaseSettings(url=database_url)})
    found = await installation.check_database(there)
    assert (found.verdict, found.found[:11]) == (Verdict.FINE, "PostgreSQL ")


async def test_the_embedded_database_is_asked_when_it_runs_and_not_started(settings):
    found = await installation.check_database(settings)
    assert (found.verdict, found.found) == (
        Verdict.FINE,
        "`ona up` starts its own; it is not running",
    )
    assert not settings.database_dir.exists()
    postgres = embedded(settings.database_dir)
    await postgres.start()
    try:
        assert "answers" in (await installation.check_database(settings)).found
    finally:
        await postgres.stop()


async def test_silent_hosts_are_found_in_the_database(settings, town):
    url = DatabaseSettings(url=town.database.url)
    there = settings.model_copy(update={"database": url})
    async with town.database.begin() as tx:
        await tx.execute(text("UPDATE host SET seen_at = now() + interval '1 h'"))
    assert (await hosts.check_hosts(there)).found == "1 heard"
    async with town.database.begin() as tx:
        await tx.execute(text("UPDATE host SET seen_at = now() - interval '5 min'"))
    silent = await hosts.check_hosts(there)
    assert "here has been silent since" in silent.found
    assert silent.follows == "No prompt is run."
    nowhere = SecretStr("postgresql+psycopg://u:p@/d?host=/nowhere")
    away = settings.model_copy(update={"database": DatabaseSettings(url=nowhere)})
    assert (await hosts.check_hosts(away)).verdict is Verdict.FINE


async def test_large_checkpoints_that_another_host_alone_has_are_noted(settings, town):
    url = DatabaseSettings(url=town.database.url)
    shared = CheckpointSettings(directory=settings.data_dir / "shared")
    there = settings.model_copy(update={"database": url, "checkpoint": shared})
    accepted = await town.say("!true")

    async def content():
        yield b"large"

    blob = await DirectoryBlobs(there.checkpoints_dir).put("a", content())
    async with town.database.begin() as tx:
        values = {"id": new_id(), "session": accepted.session_id, "blob": blob.key}
        await tx.execute(_LARGE, values)
    assert (await hosts.check_checkpoints(there)).found == "no machines run on this host"
    host_identity(there.host_dir)
    assert "1 large ones at" in (await hosts.check_checkpoints(there)).found
    alone = there.model_copy(update={"checkpoint": CheckpointSettings()})
    lacking = await hosts.check_checkpoints(alone)
    assert lacking.verdict is Verdict.LESS
    assert lacking.found == f"1 of 1 large ones are not at {settings.data_dir}/blobs"
    assert "checkpoint.directory" in lacking.do


async def test_too_little_memory_for_all_machines_is_said_in_machines(settings):
    greedy = {"medium": SizeSettings(vcpus=1, memory_mib=1024 * 1024, disk_gib=8)}
    found = await host.check_memory(settings.model_copy(update={"sizes": greedy}))
    assert found.verdict is Verdict.LESS
    assert found.follows == "0 machines fit now; 4 may run at once."


async def test_a_check_that_breaks_is_a_finding_and_hides_no_other(settings):
    async def breaks(_: Settings):
        raise ZeroDivisionError("by zero")

    broken, fine = await examine(settings, [("odd", breaks), ("Python", host.check_python)])
    assert (broken.name, broken.verdict) == ("odd", Verdict.LESS)
    assert "ZeroDivisionError" in broken.found
    assert fine.verdict is Verdict.FINE


async def test_instructions_are_counted_and_what_can_not_be_used_is_named(settings, tmp_path):
    directory = tmp_path / "told"
    directory.mkdir()
    (directory / "AGENTS.md").write_text("Rules.\n")
    settings = settings.model_copy(update={"agents": AgentsSettings(instructions=directory)})
    found = await installation.check_instructions(settings)
    assert (found.verdict, found.found) == (Verdict.FINE, "6 bytes of rules, 0 skills")
    (directory / "AGENTS.md").write_text("x" * 20_000)
    found = await installation.check_instructions(settings)
    assert found.verdict is Verdict.MISSING
    assert "AGENTS.md is too large" in found.found
