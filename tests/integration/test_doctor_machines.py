"""`ona doctor` on what machines run under and lie on."""

from contextlib import nullcontext
from dataclasses import dataclass

import pytest

from bot.config import MachineSettings, Settings
from bot.doctor import machines
from bot.doctor.finding import Verdict
from tests.support.xfs import xfs
from vmpool.drivers.cgroup import Cgroups
from vmpool.drivers.isolation import Isolation
from vmpool.probe import Finding as Probed

TESTED = "v54.0.0"


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "data")


def with_machine(settings, **machine):
    return settings.model_copy(update={"machine": MachineSettings(**machine)})


def installed(tmp_path, build):
    """A program that says so of itself."""
    program = tmp_path / "cloud-hypervisor"
    program.write_text(f"#!/bin/sh\necho 'cloud-hypervisor {build}\nMigration versions: 0'\n")
    program.chmod(0o755)
    return str(program)


async def test_a_tested_build_is_fine(settings, tmp_path):
    there = with_machine(settings, cloud_hypervisor=installed(tmp_path, TESTED))
    found = await machines.check_cloud_hypervisor(there)
    assert (found.verdict, found.found) == (Verdict.FINE, f"cloud-hypervisor {TESTED}")
    assert not found.follows


@pytest.mark.parametrize("build", ["v53.0", "v54.0.1", "v54.0.0-7-gabc"])
async def test_a_build_that_was_not_tested_is_named_with_one_that_was(settings, tmp_path, build):
    there = with_machine(settings, cloud_hypervisor=installed(tmp_path, build))
    found = await machines.check_cloud_hypervisor(there)
    assert found.verdict is Verdict.LESS
    assert found.found == f"cloud-hypervisor {build}; tested with cloud-hypervisor {TESTED}"
    assert found.follows


@pytest.mark.parametrize(
    ("wish", "verdict"),
    [("auto", Verdict.LESS), ("cloud-hypervisor", Verdict.MISSING), ("qemu", Verdict.FINE)],
)
@pytest.mark.parametrize("build", ["v52.0", None])
async def test_a_missing_or_old_one_is_as_bad_as_it_was_asked_for(
    settings, tmp_path, wish, verdict, build
):
    binary = installed(tmp_path, build) if build else str(tmp_path / "nowhere")
    found = await machines.check_cloud_hypervisor(
        with_machine(settings, hypervisor=wish, cloud_hypervisor=binary)
    )
    assert found.verdict is verdict
    if wish != "qemu":
        assert ("too old" if build else "can't be run") in found.found
        assert "QEMU" in found.follows


@pytest.mark.parametrize("shares", [False, True])
async def test_what_the_file_system_can_is_tried_there(tmp_path, shares):
    if not shares:
        (tmp_path / "old").touch()
        if machines.reflink(tmp_path / "old", tmp_path / "new"):
            pytest.skip("!!! NOT TESTED: every file system here shares extents")
    with xfs(tmp_path) if shares else nullcontext(tmp_path) as place:
        found = await machines.check_extents(Settings(data_dir=place / "data"))
        assert found.verdict is (Verdict.FINE if shares else Verdict.LESS)
        can = "can" if shares else "can't"
        assert f"{place} {can} share" in found.found
        assert bool(found.follows and found.do) is not shares
        assert not list(place.glob("ona-doctor-*"))


async def test_where_nothing_can_be_written_no_extents_are_shared(settings, monkeypatch):
    def refuses(source, target):
        raise PermissionError("read-only")

    monkeypatch.setattr(machines, "reflink", refuses)
    assert (await machines.check_extents(settings)).verdict is Verdict.LESS


@pytest.mark.parametrize("why_not", ["", "no cgroup was delegated"])
async def test_bounds_are_there_or_it_is_said_why_not(settings, monkeypatch, why_not):
    monkeypatch.setattr(Cgroups, "of", lambda root: Cgroups(None, why_not))
    found = await machines.check_bounds(settings)
    assert found.verdict is (Verdict.LESS if why_not else Verdict.FINE)
    assert found.found == (why_not or "machines get cgroups")
    assert ("Delegate" in found.do) is bool(why_not)


@dataclass
class Apart:
    """As `vmpool.drivers.isolation.Isolation` says of itself."""

    has_landlock: bool = True
    has_slots: bool = True
    why_not: str = ""


@pytest.mark.parametrize(
    ("apart", "words", "follows"),
    [
        (Apart(), "own uid, network slot, Landlock", ""),
        (Apart(has_landlock=False), "no Landlock", "what every user may"),
        (Apart(has_slots=False, why_not="not root"), "not root", "no network"),
        (
            Apart(has_landlock=False, has_slots=False, why_not="not root"),
            "no Landlock; not root",
            "no network",
        ),
    ],
)
async def test_what_keeps_machines_apart_is_told_with_what_is_lacking(
    settings, monkeypatch, apart, words, follows
):
    async def probed(settings, kernel):
        return Probed(accelerator="kvm", why="tried", seconds=0.1, proven=True)

    monkeypatch.setattr(machines, "chosen_accelerator", probed)
    monkeypatch.setattr(machines, "isolation", lambda settings, kvm: apart)
    found = await machines.check_isolation(settings)
    assert found.verdict is (Verdict.LESS if follows else Verdict.FINE)
    assert words in found.found
    assert follows in found.follows
    assert bool(found.follows) is bool(found.do) is bool(follows)


async def test_isolation_that_is_not_wanted_is_said(settings):
    found = await machines.check_isolation(with_machine(settings, isolated=False))
    assert (found.verdict, found.found) == (Verdict.LESS, "not wanted by the settings")
    assert "isolated" in found.do


def test_what_is_faked_here_is_what_isolation_says_of_itself():
    real = Isolation(why_not="w")
    assert {name: hasattr(real, name) for name in vars(Apart())} == dict.fromkeys(
        vars(Apart()), True
    )
