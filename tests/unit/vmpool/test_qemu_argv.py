"""The command line of a machine."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vmpool.driver import Image, MachineSpec
from vmpool.drivers.home import Home
from vmpool.drivers.qemu.argv import LOG_OPTION, Accelerator, argv, fingerprint, shape

IMAGE = Image(kernel=Path("/i/k"), initrd=Path("/i/r"), disk=Path("/i/d"), digest="d1")
SPEC = MachineSpec(image=IMAGE, vcpus=2, memory_mib=512, disk_gib=8)
HOME = Home(Path("/m,1"), "m1", log_option=LOG_OPTION)


def line(
    *, accelerator: Accelerator = "tcg", sandbox: bool = True, incoming: bool = False
) -> list[str]:
    return argv(
        SPEC,
        binary="qemu",
        accelerator=accelerator,
        home=HOME,
        sandbox=sandbox,
        incoming=incoming,
    )


def value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_a_machine_has_no_network_device_and_no_defaults() -> None:
    words = line()
    assert "-nodefaults" in words
    assert "-no-user-config" in words
    assert not [word for word in words if "net" in word]


@pytest.mark.parametrize(
    ("accelerator", "engine", "cpu"), [("tcg", "tcg,thread=multi", "max"), ("kvm", "kvm", "host")]
)
def test_the_accelerator_decides_the_cpu(accelerator: Accelerator, engine: str, cpu: str) -> None:
    words = line(accelerator=accelerator)
    assert value(words, "-accel") == engine
    assert value(words, "-cpu") == cpu


def test_a_reboot_ends_the_process() -> None:
    assert "-no-reboot" in line()
    assert "panic=-1" in value(line(), "-append")


def test_the_size_is_what_the_spec_says() -> None:
    assert value(line(), "-smp") == "2"
    assert value(line(), "-m") == "512M"


def test_the_channel_port_has_a_name_and_an_id() -> None:
    port = next(word for word in line() if word.startswith("virtserialport"))
    assert "name=ona.0" in port
    assert "id=ona0" in port


def test_the_base_of_the_disk_is_read_only_wherever_the_image_lies() -> None:
    disk = json.loads(value(line(), "-blockdev"))
    assert disk["file"]["filename"] == "/m,1/m1/disk"
    assert disk["backing"]["read-only"] is True
    assert disk["backing"]["file"] == {"driver": "file", "filename": "/i/d", "read-only": True}


def test_commas_in_paths_do_not_become_options() -> None:
    console = next(word for word in line() if word.startswith("file,id=console"))
    assert "path=/m,,1/m1/console.log," in console


def test_the_sandbox_is_left_out_where_it_is_not_possible() -> None:
    assert value(line(), "-sandbox").startswith("on,")
    assert "-sandbox" not in line(sandbox=False)


def test_only_a_resumed_machine_waits_for_memory() -> None:
    assert "-incoming" not in line()
    assert value(line(incoming=True), "-incoming") == "defer"


def test_what_the_guest_sees_is_the_same_after_a_resume() -> None:
    seen = shape(SPEC, "tcg")
    for words in (line(), line(incoming=True)):
        start = words.index("-machine")
        assert words[start : start + len(seen)] == seen


def marks(spec: MachineSpec, accelerator: Accelerator = "tcg", host_cpu: str = "c1") -> str:
    return fingerprint(spec, accelerator, host_cpu=host_cpu)


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, vcpus=1),
        replace(SPEC, memory_mib=1024),
        replace(SPEC, disk_gib=9),
        replace(SPEC, image=replace(IMAGE, digest="d2")),
    ],
)
def test_another_machine_has_another_fingerprint(other: MachineSpec) -> None:
    assert marks(other) != marks(SPEC)


def test_where_the_image_lies_does_not_count() -> None:
    assert marks(replace(SPEC, image=replace(IMAGE, disk=Path("/elsewhere/d")))) == marks(SPEC)


def test_the_hosts_cpu_counts_only_where_the_guest_sees_it() -> None:
    assert marks(SPEC, "tcg", "c1") == marks(SPEC, "tcg", "c2")
    assert marks(SPEC, "kvm", "c1") != marks(SPEC, "kvm", "c2")
    assert marks(SPEC, "kvm") != marks(SPEC, "tcg")
