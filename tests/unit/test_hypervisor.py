"""Which hypervisor runs a host's machines: what the settings say, or what is there and works."""

import os
from pathlib import Path

import pytest

import bot.hypervisor
from bot.config import MachineSettings, Settings, load
from bot.hypervisor import chosen_hypervisor
from vmpool.drivers.isolation import Isolation
from vmpool.errors import HostUnfit


def program(place: Path, build: str = "v54.0.0") -> Path:
    """A program that says so of itself."""
    made = place / "cloud-hypervisor"
    made.write_text(f"#!/bin/sh\necho 'cloud-hypervisor {build}\nMigration versions: 0'\n")
    made.chmod(0o755)
    return made


def settings_of(place: Path, **machine: object) -> Settings:
    known = {"accelerator": "kvm", "isolated": False, **machine}
    return Settings(data_dir=place / "data", machine=MachineSettings(**known))


@pytest.mark.parametrize("wish", ["auto", "cloud-hypervisor"])
async def test_cloud_hypervisor_is_found_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    program(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    chosen = await chosen_hypervisor(settings_of(tmp_path, hypervisor=wish), None)
    assert chosen.hypervisor.name == "cloud-hypervisor"
    assert chosen.why == "Cloud Hypervisor cloud-hypervisor v54.0.0, and the settings say so"


async def test_a_variable_names_it_and_a_setting_goes_before(tmp_path: Path) -> None:
    found = str(program(tmp_path))
    environment = {"ONA_DATA_DIR": str(tmp_path / "data"), "CLOUD_HYPERVISOR": found}
    settings = load({**environment, "ONA_MACHINE__ACCELERATOR": "kvm"})
    assert settings.machine.cloud_hypervisor == found
    assert (await chosen_hypervisor(settings, None)).hypervisor.name == "cloud-hypervisor"
    other = load({**environment, "ONA_MACHINE__CLOUD_HYPERVISOR": "/another"})
    assert other.machine.cloud_hypervisor == "/another"


@pytest.mark.parametrize(
    ("build", "accelerator", "why"),
    [
        (None, "kvm", "can't be run; install Cloud Hypervisor 53"),
        ("v52.0", "kvm", r"v52\.0 is too old; 53\+ is needed"),
        ("v54.0.0", "tcg", "needs KVM"),
    ],
)
async def test_one_that_is_of_no_use_here_is_refused_with_a_sentence(
    tmp_path: Path, build: str | None, accelerator: str, why: str
) -> None:
    found = program(tmp_path, build) if build else tmp_path / "nowhere"
    machine = {"accelerator": accelerator, "cloud_hypervisor": str(found)}
    chosen = await chosen_hypervisor(settings_of(tmp_path, **machine), None)
    assert (chosen.hypervisor.name, chosen.hypervisor.accelerator) == ("qemu", accelerator)
    demanded = settings_of(tmp_path, hypervisor="cloud-hypervisor", **machine)
    with pytest.raises(HostUnfit, match=why) as refused:
        await chosen_hypervisor(demanded, None)
    assert chosen.why == f"the settings say so; {refused.value}"


async def test_qemu_runs_them_where_it_is_wished_for(tmp_path: Path) -> None:
    wish = {"hypervisor": "qemu", "cloud_hypervisor": str(program(tmp_path))}
    assert (await chosen_hypervisor(settings_of(tmp_path, **wish), None)).hypervisor.name == "qemu"


@pytest.mark.parametrize("wish", ["qemu", "cloud-hypervisor"])
@pytest.mark.parametrize("has_slots", [False, True])
async def test_machines_have_a_network_device_where_there_are_slots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: str, has_slots: bool
) -> None:
    monkeypatch.setattr(Isolation, "has_slots", has_slots)
    wishes = {"hypervisor": wish, "cloud_hypervisor": str(program(tmp_path))}
    chosen = await chosen_hypervisor(settings_of(tmp_path, **wishes), None)
    assert chosen.hypervisor.network is has_slots
    assert isinstance(chosen.isolation, Isolation)


async def test_processes_are_kept_apart_unless_the_settings_don_t_want_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def of(root: Path, *, uid_first: int | None, kvm: bool) -> Isolation:
        asked.append((root, uid_first, kvm))
        return Isolation()

    monkeypatch.setattr(bot.hypervisor.Isolation, "of", of)
    binary = str(program(tmp_path))
    for isolated in (True, False):
        machine = {"isolated": isolated, "uid_first": 2000, "cloud_hypervisor": binary}
        settings = settings_of(tmp_path, **machine)
        chosen = await chosen_hypervisor(settings, None)
        assert bool(chosen.isolation.why_not) is not isolated
    assert asked == [(settings.machines_dir, 2000, True)]
