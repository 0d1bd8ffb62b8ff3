"""What Cloud Hypervisor answers, request by request: the fake and a real one say the same."""

import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
import pytest

from tests.contracts.rigs import fake_cloud_hypervisor, real_cloud_hypervisor
from tests.fakes.caches import cache_dir
from tests.fakes.cloud_hypervisor.tap import open_tap
from tests.fakes.tiny_guest import tiny_spec
from vmpool.drivers.cloud_hypervisor.api import Api

MIB = 1 << 20
SECONDS = 30
BOOT_SECONDS_MAX = 180
CUT_BYTES = 512
GETS = {"vm.info", "vm.counters", "vmm.ping", "vm.ping"}


@dataclass(kw_only=True)
class Process:
    """A process of the hypervisor, spoken to without our driver."""

    place: Path
    api: Api
    process: subprocess.Popen[bytes]

    async def ask(self, verb: str, body: dict[str, Any] | None = None) -> tuple[int, list[str]]:
        """Status and error chain."""
        status, chain = await self.whole(verb, body)
        return status, [cause for cause in chain if cause != "Error from API"]

    async def whole(self, verb: str, body: dict[str, Any] | None = None) -> tuple[int, list[str]]:
        """Status and error chain as it was sent."""
        method = "GET" if verb in GETS else "PUT"
        async with asyncio.timeout(SECONDS):
            status, answer = await self.api._exchange(method, verb, body)
        return status, json.loads(answer) if status >= 400 else []

    def config(self, *, memory: Path | None = None, shared: bool = False) -> dict[str, Any]:
        """The tiny guest's machine, without a writable disk."""
        spec = tiny_spec(cache_dir())
        # One's own: it is locked as a real one locks it, which QEMU takes for somebody who writes.
        base = self.place / "base"
        if not base.exists():
            shutil.copyfile(spec.image.disk, base)
        zone: dict[str, Any] = {"id": "mem0", "size": spec.memory_mib * MIB}
        if memory is not None:
            zone.update({"file": str(memory), "shared": shared})
        return {
            "cpus": {"boot_vcpus": 1, "max_vcpus": 1},
            "memory": {"size": 0, "zones": [zone]},
            "payload": {
                "kernel": str(spec.image.kernel),
                "initramfs": str(spec.image.initrd),
                "cmdline": "console=ttyS0 quiet panic=-1",
            },
            "disks": [{"id": "base", "path": str(base), "readonly": True, "image_type": "Raw"}],
            "vsock": {"id": "vsock0", "cid": 3, "socket": str(self.place / "v.sock")},
            "serial": {"mode": "Null"},
            "console": {"mode": "Off"},
        }

    async def paused(self, **memory: Any) -> None:
        """Boot it and stop its CPUs."""
        assert await self.ask("vm.create", self.config(**memory)) == (204, [])
        assert await self.ask("vm.boot") == (204, [])
        assert await self.ask("vm.pause") == (204, [])

    async def snapshot(self, name: str) -> Path:
        """Write one, and end the machine that it is of."""
        into = self.place / name
        into.mkdir()
        assert await self.ask("vm.snapshot", {"destination_url": f"file://{into}"}) == (204, [])
        assert await self.ask("vm.delete") == (204, [])
        return into

    async def restore(self, source: Path) -> tuple[int, list[str]]:
        return await self.ask("vm.restore", {"source_url": f"file://{source}"})


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.nested)])
async def vmm(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Process]:
    found = fake_cloud_hypervisor(tmp_path) if request.param == "fake" else real_cloud_hypervisor()
    path = str(tmp_path / "api")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        process = subprocess.Popen(
            [found._binary, "--api-socket", f"fd={listener.fileno()}"],
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def connect() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        sock.setblocking(False)
        return sock

    try:
        yield Process(place=tmp_path, api=Api(connect), process=process)
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


API = "Error from API"
INFO, RESTORED = "The VM info is not available", "The VM could not be restored"
SENDING = (API, RESTORED, "Cannot restore VM", "Failed to send migratable component snapshot")
RECEIVING = (API, RESTORED, "Cannot restore VM", "Failed to receive migratable component snapshot")
STOPPED, NO_JSON = "VM is not running", "Failed to deserialize JSON"
NOWHERE = "file:///nowhere"
NO_MODE = "unknown variant `ondemand`, expected `Copy` or `OnDemand` at line 1 column 67"


@pytest.mark.parametrize(
    ("verb", "body", "status", "chain"),
    [
        ("vm.info", None, 404, (API, INFO, "VM is not created")),
        ("vm.counters", None, 500, (API, INFO, STOPPED)),
        ("vm.ping", None, 404, ("Not Found",)),
        ("vm.boot", None, 404, (API, "The VM could not boot", "VM config is missing")),
        ("vm.pause", None, 500, (API, "The VM could not be paused", STOPPED)),
        ("vm.resume", None, 500, (API, "The VM could not resume", STOPPED)),
        ("vm.shutdown", None, 500, (API, "The VM could not shutdown", STOPPED)),
        (
            "vm.snapshot",
            {"destination_url": NOWHERE},
            500,
            (API, "The VM could not be snapshotted", STOPPED),
        ),
        (
            "vm.add-disk",
            {"path": "/x"},
            404,
            (API, "The disk could not be added to the VM", "VM is not created"),
        ),
        ("vm.pause", {}, 400, ("Bad Request",)),
        (
            "vm.restore",
            {"source_url": "/no/scheme"},
            500,
            (*SENDING, "Could not extract path from URL: /no/scheme"),
        ),
        (
            "vm.restore",
            {"source_url": NOWHERE},
            500,
            (*SENDING, 'Destination is not a directory: "/nowhere"'),
        ),
        (
            "vm.restore",
            {"source_url": None},
            400,
            (NO_JSON, "invalid type: null, expected path string at line 1 column 19"),
        ),
        (
            "vm.restore",
            {"source_url": NOWHERE, "memory_restore_mode": "ondemand"},
            400,
            (NO_JSON, NO_MODE),
        ),
    ],
)
async def test_what_is_refused_while_there_is_no_machine(vmm, verb, body, status, chain):
    assert await vmm.whole(verb, body) == (status, list(chain))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": "b', "EOF while parsing a string at line 1 column 8"),
        ('{"a"', "EOF while parsing an object at line 1 column 4"),
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("", "EOF while parsing a value at line 1 column 0"),
        ("?", "expected value at line 1 column 1"),
    ],
)
async def test_a_configuration_that_was_cut_short_is_said_to_be(vmm, text, why):
    (vmm.place / "config.json").write_text(text)
    found = await vmm.whole("vm.restore", {"source_url": f"file://{vmm.place}"})
    assert found == (500, [*RECEIVING, "Error deserialising VM config snapshot", why])


async def _all_of(sock: socket.socket, seconds_max: float = SECONDS) -> bytes:
    """What is said until the end."""
    said = b""
    async with asyncio.timeout(seconds_max):
        while part := await asyncio.get_running_loop().sock_recv(sock, 4096):
            said += part
    return said


async def test_the_eleventh_connection_is_told_so_and_closed(vmm):
    await vmm.ask("vmm.ping")
    await asyncio.sleep(0.3)  # until that one's end was seen
    taken = [vmm.api._connect() for _ in range(10)]
    try:
        await asyncio.sleep(0.2)
        with vmm.api._connect() as sock:
            said = await _all_of(sock)
        assert said.startswith(b"HTTP/1.1 503\r\n")
        assert said.endswith(b'{ "error": "Too many open connections" }')
    finally:
        for each in taken:
            each.close()
    await asyncio.sleep(0.2)
    assert (await vmm.ask("vmm.ping"))[0] == 200


async def test_a_question_waits_until_a_snapshot_is_written(vmm):
    await vmm.paused()
    into = vmm.place / "snapshot"
    into.mkdir()
    body = {"destination_url": f"file://{into}"}
    writing = asyncio.create_task(vmm.ask("vm.snapshot", body))
    while not (into / "config.json").exists():
        await asyncio.sleep(0)
    assert (await vmm.ask("vmm.ping"))[0] == 200
    # All of the memory is written by then; its length says nothing, that is set beforehand.
    written = (into / "memory-ranges").stat().st_blocks * 512
    assert written >= tiny_spec(cache_dir()).memory_mib * MIB
    assert await writing == (204, [])


async def test_a_tap_that_another_process_holds_is_refused_and_can_be_had_later(vmm):
    name = f"ona{vmm.process.pid}"
    try:
        held = open_tap(name)
    except OSError as error:
        pytest.skip(f"!!! NOT TESTED: no tap can be made here ({error})")
    card = {"id": "net0", "tap": name, "mac": "02:00:00:00:00:02"}
    try:
        assert await vmm.ask("vm.create", {**vmm.config(), "net": [card]}) == (204, [])
        status, chain = await vmm.ask("vm.boot")
    finally:
        os.close(held)
    assert status == 500
    busy = "Device or resource busy (os error 16)"
    assert chain[-3:] == ["Open tap device failed", "Unable to configure tap interface", busy]
    # Nobody holds it any more: the same process takes it.
    await vmm.ask("vm.delete")
    assert await vmm.ask("vm.create", {**vmm.config(), "net": [card]}) == (204, [])
    assert await vmm.ask("vm.boot") == (204, [])


async def test_what_needs_no_machine_is_done(vmm):
    assert (await vmm.ask("vmm.ping"))[0] == 200
    assert await vmm.ask("vm.delete") == (204, [])
    assert (await vmm.ask("vmm.shutdown"))[0] == 200
    assert await asyncio.to_thread(vmm.process.wait, SECONDS) == 0


async def test_what_is_unknown_is_ignored_and_what_can_not_boot_is_made(vmm):
    assert await vmm.ask("vm.create", {"bogus": 1, "payload": {}}) == (204, [])
    status, chain = await vmm.ask("vm.create", {"payload": {}})
    assert (status, chain[-1]) == (500, "VM is already created")
    status, chain = await vmm.ask("vm.boot")
    assert (status, chain[-1]) == (400, "No bootitem provided: neither firmware nor kernel")


async def test_a_state_is_entered_once(vmm):
    await vmm.paused()
    status, chain = await vmm.ask("vm.pause")
    assert (status, chain[-1]) == (
        500,
        "Invalid transition: InvalidStateTransition(Paused, Paused)",
    )
    assert await vmm.ask("vm.resume") == (204, [])
    status, chain = await vmm.ask("vm.resume")
    assert (status, chain[-1]) == (
        500,
        "Invalid transition: InvalidStateTransition(Running, Running)",
    )
    status, chain = await vmm.ask("vm.snapshot", {"destination_url": f"file://{vmm.place}"})
    assert (status, chain[-1]) == (500, "Trying to snapshot while VM is running")


async def test_a_snapshot_wants_an_empty_directory(vmm):
    await vmm.paused()
    missing = vmm.place / "missing"
    status, chain = await vmm.ask("vm.snapshot", {"destination_url": f"file://{missing}"})
    assert (status, chain[-1]) == (500, f'Destination is not a directory: "{missing}"')
    used = vmm.place / "used"
    used.mkdir()
    (used / "config.json").write_text("{}")
    status, chain = await vmm.ask("vm.snapshot", {"destination_url": f"file://{used}"})
    assert (status, chain[-1]) == (500, "File exists (os error 17)")
    assert (used / "config.json").read_text() == "{}"


async def test_a_private_memory_is_written_whole_and_a_shared_file_not_at_all(vmm):
    await vmm.paused()
    size = tiny_spec(cache_dir()).memory_mib * MIB
    private = await vmm.snapshot("private")
    assert (private / "memory-ranges").stat().st_size == size
    memory = vmm.place / "memory"
    with memory.open("wb") as file:
        file.truncate(size)
    await vmm.paused(memory=memory, shared=True)
    shared = await vmm.snapshot("shared")
    assert sorted(path.name for path in shared.iterdir()) == ["config.json", "state.json"]
    assert await vmm.restore(shared) == (204, [])
    status, chain = await vmm.restore(shared)
    assert (status, chain[-1]) == (500, "VM is already created")


def _put(*path: str | int, value: Any) -> Callable[[Path, dict[str, Any]], None]:
    """Change one value of the configuration."""

    def change(_: Path, config: dict[str, Any]) -> None:
        found: Any = config
        for step in path[:-1]:
            found = found[step]
        found[path[-1]] = value

    return change


NOT_THERE = "No such file or directory (os error 2)"
SPOILS: dict[str, tuple[Callable[[Path, dict[str, Any]], object], str]] = {
    "state gone": (lambda source, _: (source / "state.json").unlink(), NOT_THERE),
    "state empty": (
        lambda source, _: (source / "state.json").write_text("{}"),
        "missing field `snapshots`",
    ),
    "state cut": (
        lambda source, _: (source / "state.json").write_text('{"snapshots": {"memory'),
        "EOF while parsing a string at line 1 column 22",
    ),
    "disk more": (
        lambda source, config: config["disks"].append({**config["disks"][0], "id": "more"}),
        "Valid PCI device identifier but already used: ",
    ),
    "memory gone": (
        lambda source, _: (source / "memory-ranges").rename(source.parent / "aside"),
        NOT_THERE,
    ),
    "zone renamed": (
        _put("memory", "zones", 0, "id", value="other"),
        "No memory region found",
    ),
    "disk gone": (_put("disks", 0, "path", value="/nowhere"), NOT_THERE),
    "initramfs gone": (_put("payload", "initramfs", value="/nowhere"), NOT_THERE),
    "socket there": (
        lambda source, _: (source.parent / "v.sock").touch(),
        "Address already in use (os error 98)",
    ),
}


@pytest.mark.parametrize("spoil", SPOILS)
async def test_a_spoilt_snapshot_is_refused_and_the_process_can_be_used_again(vmm, spoil):
    act, last = SPOILS[spoil]
    await vmm.paused()
    source = await vmm.snapshot("snapshot")
    good = {path.name: path.read_bytes() for path in source.glob("*.json")}
    config = json.loads(good["config.json"])
    act(source, config)
    (source / "config.json").write_text(json.dumps(config))
    status, chain = await vmm.restore(source)
    assert status == 500
    assert chain[-1].startswith(last)
    assert (await vmm.ask("vm.info"))[0] == 404
    for name, data in good.items():
        (source / name).write_bytes(data)
    (vmm.place / "v.sock").unlink(missing_ok=True)
    if (vmm.place / "aside").exists():
        (vmm.place / "aside").rename(source / "memory-ranges")
    assert await vmm.restore(source) == (204, [])


@pytest.mark.parametrize("spoil", ["ranges short", "disk away", "more CPUs", "smaller"])
async def test_what_a_real_one_gets_wrong_silently_is_accepted(vmm, spoil):
    await vmm.paused()
    source = await vmm.snapshot("snapshot")
    config = json.loads((source / "config.json").read_text())
    match spoil:
        case "ranges short":
            with (source / "memory-ranges").open("r+b") as file:
                file.truncate(64 * MIB)
        case "disk away":
            config["disks"] = []
        case "more CPUs":
            config["cpus"] = {"boot_vcpus": 2, "max_vcpus": 2}
        case "smaller":
            config["memory"]["zones"][0]["size"] //= 2
    (source / "config.json").write_text(json.dumps(config))
    assert await vmm.restore(source) == (204, [])


async def test_more_is_refused_by_the_words_of_a_restore(vmm):
    await vmm.paused()
    source = await vmm.snapshot("snapshot")
    body = {"source_url": f"file://{source}"}
    both = {**body, "memory_restore_mode": "OnDemand", "prefault": True}
    why = "'prefault' cannot be combined with 'memory_restore_mode=ondemand'"
    invalid = [API, RESTORED, "Failed to validate config"]
    assert await vmm.whole("vm.restore", both) == (400, [*invalid, why])
    config = json.loads((source / "config.json").read_text())
    card = {"id": "net0", "fds": [-1], "mac": "02:00:00:00:00:02"}
    (source / "config.json").write_text(json.dumps({**config, "net": [card]}))
    why = "Net id net0 is associated with FDs and is required"
    assert await vmm.whole("vm.restore", body) == (400, [*invalid, why])


async def test_a_state_without_cpus_ends_the_process_as_if_all_were_well(vmm):
    await vmm.paused()
    source = await vmm.snapshot("snapshot")
    state = json.loads((source / "state.json").read_text())
    del state["snapshots"]["cpu-manager"]
    (source / "state.json").write_text(json.dumps(state))
    assert await vmm.restore(source) == (204, [])
    with suppress(EOFError, OSError, h11.RemoteProtocolError):
        await vmm.ask("vm.resume")
    assert await asyncio.to_thread(vmm.process.wait, SECONDS) == 0


async def test_the_channel_is_its_owners(vmm):
    await vmm.paused()
    assert (vmm.place / "v.sock").stat().st_mode & 0o777 == 0o700


async def test_who_connects_before_the_guest_is_up_is_closed_without_a_word(vmm):
    assert await vmm.ask("vm.create", vmm.config()) == (204, [])
    assert await vmm.ask("vm.boot") == (204, [])
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(vmm.place / "v.sock"))
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(sock, b"CONNECT 1024\n")
        assert await _all_of(sock, BOOT_SECONDS_MAX) == b""


async def test_a_memory_file_that_is_too_short_kills_the_process(vmm):
    memory = vmm.place / "memory"
    size = tiny_spec(cache_dir()).memory_mib * MIB
    with memory.open("wb") as file:
        file.truncate(size)
    await vmm.paused(memory=memory, shared=True)
    source = await vmm.snapshot("snapshot")
    with memory.open("r+b") as file:
        file.truncate(4 * MIB)
    # Accepted, or lost in the middle; at the latest its guest ends it.
    with suppress(EOFError, OSError, h11.RemoteProtocolError):
        await vmm.restore(source)
        await vmm.ask("vm.resume")
    # Of a signal, or because its CPUs could not go on: it has been seen to end either way.
    assert await asyncio.to_thread(vmm.process.wait, SECONDS) in (0, -signal.SIGBUS)


async def test_a_snapshot_that_a_full_disk_cuts_short_is_said_to_be_done(vmm):
    memory = vmm.place / "memory"
    with memory.open("wb") as file:
        file.truncate(tiny_spec(cache_dir()).memory_mib * MIB)
    await vmm.paused(memory=memory, shared=True)
    into = vmm.place / "snapshot"
    into.mkdir()
    resource.prlimit(vmm.process.pid, resource.RLIMIT_FSIZE, (CUT_BYTES, CUT_BYTES))
    assert await vmm.ask("vm.snapshot", {"destination_url": f"file://{into}"}) == (204, [])
    assert (into / "config.json").stat().st_size == CUT_BYTES
    with pytest.raises(json.JSONDecodeError):
        json.loads((into / "config.json").read_text())
