"""The command line of a machine."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vmpool.driver import Image, MachineSpec
from vmpool.drivers.qemu.argv import Accelerator, argv, fingerprint, shape

IMAGE = Image(kernel=Path("/i/k"), initrd=Path("/i/r"), disk=Path("/i/d"), digest="d1")
SPEC = MachineSpec(image=IMAGE, vcpus=2, memory_mib=512, disk_gib=8)


def line(
    *,
    accelerator: Accelerator = "tcg",
    network: bool = False,
    sandbox: bool = True,
    cloned: bool = False,
    incoming: bool = False,
) -> list[str]:
    return argv(
        SPEC,
        binary="qemu",
        name="m1",
        accelerator=accelerator,
        network=network,
        sandbox=sandbox,
        cloned=cloned,
        incoming=incoming,
    )


def value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_a_machine_has_no_defaults() -> None:
    words = line()
    assert "-nodefaults" in words
    assert "-no-user-config" in words
    assert not [word for word in words if "net" in word]


def test_the_only_network_device_is_that_of_the_slot() -> None:
    words = line(network=True)
    assert value(words, "-netdev") == "tap,id=slot,fd=8"
    [card] = [word for word in words if word.startswith("virtio-net")]
    assert "netdev=slot,mac=02:00:00:00:00:02" in card


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


def test_the_base_of_the_disk_is_read_only() -> None:
    disk = json.loads(value(line(), "-blockdev"))
    assert disk["file"]["filename"] == "/proc/self/fd/4/disk"
    image = {"driver": "file", "filename": "/proc/self/fd/5/d", "read-only": True}
    assert disk["backing"] == {"driver": "raw", "read-only": True, "file": image}


def test_the_disk_of_a_clone_lies_on_its_templates() -> None:
    template = json.loads(value(line(cloned=True), "-blockdev"))["backing"]
    assert template["file"]["filename"] == "/proc/self/fd/4/base"
    assert template["read-only"] is True
    assert template["backing"]["file"]["filename"] == "/proc/self/fd/5/d"


def test_the_sandbox_is_left_out_where_it_is_not_possible() -> None:
    assert value(line(), "-sandbox").startswith("on,")
    assert "-sandbox" not in line(sandbox=False)


def test_only_a_resumed_machine_waits_for_memory() -> None:
    assert "-incoming" not in line()
    assert value(line(incoming=True), "-incoming") == "defer"


def test_what_the_guest_sees_is_the_same_after_a_resume() -> None:
    seen = shape(SPEC, "tcg", network=True)
    for words in (line(network=True), line(network=True, incoming=True)):
        start = words.index("-machine")
        assert words[start : start + len(seen)] == seen


def marks(
    spec: MachineSpec,
    accelerator: Accelerator = "tcg",
    host_cpu: str = "c1",
    *,
    network: bool = False,
    kernel: str = "k1",
) -> str:
    return fingerprint(spec, accelerator, network=network, host_cpu=host_cpu, kernel=kernel)


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


def test_the_hosts_kernel_counts_only_where_it_runs_the_guest() -> None:
    assert marks(SPEC, "tcg", kernel="k1") == marks(SPEC, "tcg", kernel="k2")
    assert marks(SPEC, "kvm", kernel="k1") != marks(SPEC, "kvm", kernel="k2")


def test_the_hosts_cpu_counts_only_where_the_guest_sees_it() -> None:
    assert marks(SPEC, "tcg", "c1") == marks(SPEC, "tcg", "c2")
    assert marks(SPEC, "kvm", "c1") != marks(SPEC, "kvm", "c2")
    assert marks(SPEC, "kvm") != marks(SPEC, "tcg")


def test_a_network_device_counts() -> None:
    assert marks(SPEC, network=True) != marks(SPEC)
