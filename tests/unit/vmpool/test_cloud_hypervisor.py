"""What is decided about Cloud Hypervisor without one: configuration, snapshots, events, errors."""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vmpool.driver import Image, MachineSpec
from vmpool.drivers.cloud_hypervisor import events, snapshot
from vmpool.drivers.cloud_hypervisor.api import ACT_SECONDS_MAX, Api, ApiError
from vmpool.drivers.cloud_hypervisor.config import (
    MIB,
    config,
    nothing_to_copy,
    placed,
    verify,
    written_bytes,
)
from vmpool.drivers.cloud_hypervisor.disk import copy_sparse, make_writable
from vmpool.drivers.cloud_hypervisor.hypervisor import CloudHypervisor
from vmpool.drivers.home import Home
from vmpool.drivers.hypervisor import ControlClosed
from vmpool.errors import HostUnfit

IMAGE = Image(kernel=Path("/i/k"), initrd=Path("/i/r"), disk=Path("/i/d"), digest="d1")
SPEC = MachineSpec(image=IMAGE, vcpus=2, memory_mib=512, disk_gib=8)

WAIT_SECONDS_MAX = 10

Json = dict[str, Any]


def state(*lengths: int) -> Json:
    """A snapshot's state, as far as it is looked at; lengths of its ranges in bytes."""
    manager = {
        "memory_ranges": {"data": [{"gpa": 0, "length": length} for length in lengths]},
        "guest_ram_mappings": [{"slot": 1, "zone_id": "mem0"}],
    }
    node = {"snapshots": {}, "snapshot_data": {"state": json.dumps(manager)}}
    return {"snapshots": {"memory-manager": node, "cpu-manager": {"kept": True}}}


# -- snapshots


@pytest.mark.parametrize("lengths", [(512 * MIB,), (384 * MIB, 128 * MIB), ()])
def test_a_restore_is_told_to_copy_nothing(lengths: tuple[int, ...]) -> None:
    assert written_bytes(state(*lengths)) == sum(lengths)
    new = nothing_to_copy(state(*lengths))
    assert written_bytes(new) == 0
    manager = json.loads(new["snapshots"]["memory-manager"]["snapshot_data"]["state"])
    assert manager["guest_ram_mappings"] == [{"slot": 1, "zone_id": "mem0"}]
    assert new["snapshots"]["cpu-manager"] == {"kept": True}


@pytest.mark.parametrize(
    ("memory", "shared", "said"),
    [
        ("mapped-memory", False, {"file": "/proc/self/fd/4/mapped-memory", "shared": False}),
        ("memory", True, {"file": "/proc/self/fd/4/memory", "shared": True}),
        (None, False, {}),
    ],
)
def test_a_memory_is_placed_where_it_is_restored_from(
    memory: str | None, shared: bool, said: Json
) -> None:
    found = placed(config(SPEC, network=True), memory=memory, shared=shared)
    assert found["memory"]["zones"] == [{"id": "mem0", "size": 512 * MIB, **said}]
    assert verify(found, SPEC, network=True) is None


def test_a_state_of_unknown_shape_is_not_guessed_at() -> None:
    for unknown in ({}, {"snapshots": {}}, {"snapshots": {"memory-manager": {}}}):
        with pytest.raises(KeyError):
            written_bytes(unknown)


# -- events


def _event(source: str, name: str) -> str:
    stamp = {"secs": 1, "nanos": 2}
    return json.dumps({"timestamp": stamp, "source": source, "event": name}, indent=2) + "\n\n"


def test_events_are_read_though_the_stream_was_cut() -> None:
    whole = _event("vmm", "starting") + _event("vm", "booting") + _event("vm", "booted")
    assert list(events.parse(whole)) == ["vmm starting", "vm booting", "vm booted"]
    assert list(events.parse(whole[40:-20])) == ["vm booting"]
    assert list(events.parse("")) == []
    assert list(events.parse("{{{")) == []
    assert list(events.parse('{"a":' + "[" * 100_000)) == []


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ([], None),
        (["vm booted", "vm snapshotted"], None),
        (["vm booted", "vm shutdown", "vmm shutdown"], "shut itself down"),
        (["guest panic", "vm rebooting"], "panicked"),
        (["vm rebooting", "vm rebooted"], "rebooted"),
    ],
)
def test_what_the_guest_did_is_said(seen: list[str], words: str | None) -> None:
    said = events.farewell(seen)
    assert (words is None and said is None) or (words or "?") in (said or "")


def test_a_process_that_wrote_no_event_has_none(tmp_path: Path) -> None:
    assert events.read(tmp_path / "events") == []


# -- the API


async def _answered(answer: bytes, ask: Callable[[Api], Any]) -> Any:
    """Ask a process that answers every request with these bytes and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    listener = socket.socket(socket.AF_UNIX)
    listener.bind("")
    listener.listen()
    server = await asyncio.start_unix_server(serve, sock=listener)

    def connect() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(listener.getsockname())
        sock.setblocking(False)
        return sock

    try:
        return await ask(Api(connect))
    finally:
        server.close()


def _http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def test_an_empty_reason_is_no_error() -> None:
    answer = _http("200 ", '{"build_version": "v53.0", "pid": 7}')
    assert (await _answered(answer, lambda api: api.ping())).build == "v53.0"


async def test_an_error_chain_becomes_a_sentence() -> None:
    answer = _http("500 ", '["Error from API", "The VM could not be paused", "VM is not running"]')
    with pytest.raises(ApiError, match="The VM could not be paused: VM is not running") as caught:
        await _answered(answer, lambda api: api.pause())
    assert caught.value.status == 500


async def test_too_many_connections_is_said() -> None:
    answer = _http("503", '{ "error": "Too many open connections" }')
    with pytest.raises(ApiError, match="Too many open connections"):
        await _answered(answer, lambda api: api.resume())


@pytest.mark.parametrize("body", ["[]", "null", "7", "{", '{"a":' * 5000])
async def test_a_process_that_answers_nonsense_is_closed(body: str) -> None:
    with pytest.raises(ControlClosed):
        await _answered(_http("200 ", body), lambda api: api.state())
    with pytest.raises(ApiError):
        await _answered(_http("500 ", body), lambda api: api.pause())


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"nonsense\r\n\r\n"])
async def test_a_process_that_dies_in_the_middle_is_closed(answer: bytes) -> None:
    with pytest.raises(ControlClosed):
        await _answered(answer, lambda api: api.boot())


@contextmanager
def _silent() -> Iterator[Api]:
    """A process that takes a request and never answers."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        yield Api(lambda: ours)


async def test_a_process_that_does_not_answer_is_closed() -> None:
    with _silent() as api, pytest.raises(ControlClosed, match="within"):
        await api.ping(seconds_max=0.05)


@pytest.mark.parametrize("verb", ["snapshot", "restore"])
async def test_what_moves_memory_has_the_time_that_it_is_given(verb: str) -> None:
    with _silent() as api:
        moving = asyncio.create_task(getattr(api, verb)(Path("/"), seconds_max=0.05))
        await asyncio.wait({moving}, timeout=WAIT_SECONDS_MAX)
        assert moving.done()
        with pytest.raises(TimeoutError):
            moving.result()


@pytest.mark.parametrize("verb", ["create", "boot", "pause", "resume", "state"])
async def test_what_takes_no_time_is_given_little(
    monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    limit = (Api.state if verb == "state" else Api._ask).__kwdefaults__
    assert limit["seconds_max"] == ACT_SECONDS_MAX
    monkeypatch.setitem(limit, "seconds_max", 0.05)
    with _silent() as api, pytest.raises(ControlClosed, match=r"vm.* within 0\.05 s"):
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await getattr(api, verb)(*({},) * (verb == "create"))


# -- the binary


def _binary(tmp_path: Path, words: str) -> CloudHypervisor:
    program = tmp_path / "cloud-hypervisor"
    program.write_text(f"#!/bin/sh\necho '{words}'\n")
    program.chmod(0o755)
    return CloudHypervisor(binary=str(program))


async def test_a_build_is_told_exactly(tmp_path: Path) -> None:
    made = _binary(tmp_path, "cloud-hypervisor v53.0-246-gae44c2971\nMigration versions: 0")
    assert (await made.stamp(SPEC)).build == "cloud-hypervisor v53.0-246-gae44c2971"


@pytest.mark.parametrize(
    ("words", "said"), [("cloud-hypervisor v52.1.0", "too old"), ("bash 5", "not a version")]
)
async def test_what_is_too_old_or_something_else_is_refused(
    tmp_path: Path, words: str, said: str
) -> None:
    with pytest.raises(HostUnfit, match=said):
        await _binary(tmp_path, words).stamp(SPEC)


async def test_a_missing_binary_is_told_to_the_operator() -> None:
    with pytest.raises(HostUnfit, match="install"):
        await CloudHypervisor(binary="/nonexistent/cloud-hypervisor").stamp(SPEC)


async def test_a_process_filters_its_own_system_calls(tmp_path: Path) -> None:
    made = _binary(tmp_path, "cloud-hypervisor v54.0.0")
    command = await made.command(Home(tmp_path, "m1"), SPEC, loading=False)
    assert command[command.index("--seccomp") + 1] == "true"


# -- clones


def test_a_sparse_file_is_copied_with_its_holes(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    with old.open("wb") as file:
        file.write(b"begin")
        file.seek(16 * MIB)
        file.write(b"middle" * 10_000)
        file.truncate(64 * MIB)
    new.write_bytes(b"an older one")
    copy_sparse(old, new)
    assert new.stat().st_size == 64 * MIB
    assert new.stat().st_blocks * 512 < 2 * MIB
    assert new.read_bytes() == old.read_bytes()


def test_an_empty_file_is_copied(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    copy_sparse(tmp_path / "old", tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b""


async def test_a_new_disk_is_an_empty_file_system_that_takes_no_room(tmp_path: Path) -> None:
    await make_writable(tmp_path / "disk", gib=8)
    found = (tmp_path / "disk").stat()
    assert found.st_size == 8 << 30
    assert found.st_blocks * 512 < 16 * MIB
    with (tmp_path / "disk").open("rb") as file:
        file.seek(1080)
        assert file.read(2) == b"\x53\xef"  # ext4's magic number


# -- snapshots on disk


def _snapshot(place: Path, *, state_bytes: int | None = None) -> tuple[Path, Home]:
    """A dense one as a process writes it, its state cut after so many bytes; where it is kept."""
    home = Home(place, "m1")
    home.make()
    home.make_cell()
    snapshot.prepare(home)
    saving = home.cell / "saving"
    (saving / "config.json").write_text(json.dumps(config(SPEC, network=False)))
    (saving / "state.json").write_text(json.dumps(state(512 * MIB))[:state_bytes])
    with (saving / snapshot.MEMORY_RANGES).open("wb") as file:
        file.truncate(512 * MIB)
    partial = home.path / "rest.partial"
    partial.mkdir()
    return partial, home


def test_a_whole_snapshot_is_kept(tmp_path: Path) -> None:
    partial, home = _snapshot(tmp_path)
    assert snapshot.keep(home, partial, SPEC) == ("config.json", "state.json")
    assert sorted(path.name for path in partial.iterdir()) == [
        "config.json",
        "memory",
        "state.json",
    ]
    assert list((home.cell / "saving").iterdir()) == []


@pytest.mark.parametrize("state_bytes", [0, 1, 40, 100])
def test_a_snapshot_whose_state_was_cut_short_is_not_one_of_unknown_shape(
    tmp_path: Path, state_bytes: int
) -> None:
    partial, home = _snapshot(tmp_path, state_bytes=state_bytes)
    with pytest.raises(json.JSONDecodeError):
        snapshot.keep(home, partial, SPEC)


@pytest.mark.parametrize("missing", [1, 512 * MIB])
def test_a_snapshot_whose_memory_is_short_is_not_kept(tmp_path: Path, missing: int) -> None:
    partial, home = _snapshot(tmp_path)
    with (home.cell / "saving" / snapshot.MEMORY_RANGES).open("r+b") as file:
        file.truncate(512 * MIB - missing)
    with pytest.raises(ValueError, match="not whole"):
        snapshot.keep(home, partial, SPEC)


def _link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def _hard_link(path: Path, secret: Path) -> None:
    os.link(secret, path)


def _pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def _directory(path: Path, _: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("lay", [_link, _hard_link, _pipe, _directory])
@pytest.mark.parametrize("name", ["config.json", "state.json", snapshot.MEMORY_RANGES])
def test_what_is_no_plain_file_of_the_process_is_not_taken(
    tmp_path: Path, name: str, lay: Callable[[Path, Path], None]
) -> None:
    partial, home = _snapshot(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("{}")
    secret.chmod(0o600)
    (home.cell / "saving" / name).unlink()
    lay(home.cell / "saving" / name, secret)
    with pytest.raises(ValueError, match="no file"):
        snapshot.keep(home, partial, SPEC)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert not (partial / name).exists()
    snapshot.end(home)
    assert list((home.cell / "saving").iterdir()) == []


def test_what_a_snapshot_says_of_its_machine_is_not_restored(tmp_path: Path) -> None:
    partial, home = _snapshot(tmp_path)
    snapshot.keep(home, partial, SPEC)
    words = {**config(SPEC, network=False), "serial": {"mode": "File", "file": "/etc/motd"}}
    (partial / "config.json").write_text(json.dumps(words))
    name = snapshot.lay_out(partial, home, config(SPEC, network=False))
    made = json.loads((home.cell / name / "config.json").read_text())
    assert made["serial"] == {"mode": "Tty"}


def test_what_a_memory_may_still_take_is_bounded_by_its_size(tmp_path: Path) -> None:
    _, home = _snapshot(tmp_path)
    home.write_spec(SPEC)
    snapshot.make_memory(home, SPEC.memory_mib)
    assert snapshot.growth_mib(home) == SPEC.memory_mib
    os.truncate(home.memory, 1 << 43)
    assert snapshot.growth_mib(home) == SPEC.memory_mib
