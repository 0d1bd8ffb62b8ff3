"""The VMM: one machine at most, its states, and what the real one answers in each."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.fakes.cloud_hypervisor.guest import Guest
from tests.fakes.cloud_hypervisor.http import Answer
from tests.fakes.cloud_hypervisor.memory import Disk, Locked, Memory
from tests.fakes.cloud_hypervisor.tap import open_tap
from tests.fakes.cloud_hypervisor.words import (
    CHANNEL,
    RECEIVING,
    Json,
    Refusal,
    channel_of,
    connections_of,
    demand_disks,
    demand_fds,
    demand_mode,
    demand_payload,
    os_words,
    read_json,
    read_object,
    refused,
    source_of,
    state_of,
    write_new,
)

BUILD = "v54.0.0"
VERSION = "54.0.0"
CPU_SECONDS = 0.05
DEVICES = ("base", "disk", "rng0", "vsock0")


class Events:
    """The event monitor's file."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._began = time.monotonic()

    def emit(self, source: str, event: str, properties: Json | None = None) -> None:
        """Append one."""
        if self._fd is None:
            return
        passed = time.monotonic() - self._began
        stamp = {"secs": int(passed), "nanos": int(passed % 1 * 1e9)}
        words = {
            "timestamp": stamp,
            "source": source,
            "event": event,
            "properties": properties,
        }
        # What can't be written is dropped, as a real one does.
        with suppress(OSError):
            os.write(self._fd, json.dumps(words, indent=2).encode() + b"\n\n")


class Machine:
    """A created machine: its configuration, and what is open once it was booted or restored."""

    def __init__(self, config: Json) -> None:
        self.config = config
        self.state = "Created"
        self.memory: Memory | None = None
        self.disks: list[Disk] = []
        self.taps: list[int] = []
        self.guest: Guest | None = None
        self.channel: asyncio.AbstractServer | None = None
        self.channel_path: str | None = None
        self.restored = False
        self.has_cpus = True

    @property
    def zone(self) -> Json:
        """Its one memory zone."""
        memory = self.config.get("memory") or {}
        zones = memory.get("zones") or [{"id": "_default", "size": memory.get("size", 512 << 20)}]
        found = zones[0]
        assert isinstance(found, dict)
        return found

    def close(self) -> None:
        """Let go of everything; its socket goes, as after a clean end."""
        if self.guest is not None:
            self.guest.close()
        if self.channel is not None:
            self.channel.close()
        if self.channel_path is not None:
            Path(self.channel_path).unlink(missing_ok=True)
        for disk in self.disks:
            disk.close()
        for tap in self.taps:
            os.close(tap)
        if self.memory is not None:
            self.memory.close()


class Vmm:
    """Answers requests; `end` is called when the process shall end, with its status."""

    def __init__(self, events: Events, end: Callable[[int], None]) -> None:
        self._events = events
        self._end = end
        self._machine: Machine | None = None
        self._verbs: dict[tuple[str, str], Any] = {
            ("GET", "vmm.ping"): self._ping,
            ("GET", "vm.info"): self._info,
            ("GET", "vm.counters"): self._counters,
            ("PUT", "vm.add-disk"): self._add_disk,
            ("PUT", "vm.create"): self._create,
            ("PUT", "vm.boot"): self._boot,
            ("PUT", "vm.pause"): self._pause,
            ("PUT", "vm.resume"): self._resume,
            ("PUT", "vm.snapshot"): self._snapshot,
            ("PUT", "vm.restore"): self._restore,
            ("PUT", "vm.shutdown"): self._shutdown,
            ("PUT", "vm.delete"): self._delete,
            ("PUT", "vmm.shutdown"): self._vmm_shutdown,
        }
        events.emit("vmm", "starting")

    async def handle(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one request."""
        verb = self._verbs.get((method, path.removeprefix("/api/v1/")))
        try:
            if verb is None:
                raise Refusal(404, "Not Found")
            if verb in {self._create, self._snapshot, self._restore, self._add_disk}:
                return await verb(read_object(body)) or (204, None)
            if body:
                raise Refusal(400, "Bad Request")
            return await verb() or (204, None)
        except Refusal as error:
            return error.status, error.chain

    # -- asking -----------------------------------------------------------------------------

    async def _ping(self) -> Answer:
        features = ["io_uring", "kvm"]
        said = {
            "build_version": BUILD,
            "version": VERSION,
            "pid": os.getpid(),
            "features": features,
        }
        return 200, said

    async def _info(self) -> Answer:
        if self._machine is None:
            raise refused("The VM info is not available", "VM is not created", status=404)
        # What it says of the machine is what it was told, not what is the case.
        size = self._machine.zone["size"]
        said = {
            "config": self._machine.config,
            "state": self._machine.state,
            "memory_actual_size": size,
        }
        return 200, said

    async def _counters(self) -> Answer:
        if self._machine is None or self._machine.guest is None:
            raise refused("The VM info is not available", "VM is not running")
        return 200, {str(each["id"]): {} for each in self._machine.config.get("disks") or []}

    async def _add_disk(self, disk: Json) -> None:
        what = "The disk could not be added to the VM"
        if self._machine is None:
            raise refused(what, "VM is not created", status=404)
        raise refused(what, "this is not faked")

    # -- life -------------------------------------------------------------------------------

    async def _create(self, config: Json) -> None:
        if self._machine is not None:
            raise refused("The VM could not be created", "VM is already created")
        self._machine = Machine(config)

    async def _boot(self) -> None:
        what = "The VM could not boot"
        machine = self._machine
        if machine is None:
            raise refused(what, "VM config is missing", status=404)
        demand_payload(machine.config, what)
        self._events.emit("vm", "booting")
        try:
            await self._open(machine, what, size=machine.zone["size"])
        except Refusal:
            self._machine = None
            raise
        assert machine.guest is not None
        machine.guest.boot()
        machine.guest.run()
        machine.state = "Running"
        self._events.emit("vm", "booted")
        self._activated()

    async def _pause(self) -> None:
        machine = self._started("The VM could not be paused")
        self._events.emit("vm", "pausing")
        self._demand_move(
            machine, "Paused", "The VM could not be paused", "Cannot pause VM", "pause"
        )
        assert machine.guest is not None
        machine.guest.pause()
        machine.state = "Paused"
        self._events.emit("vm", "paused")

    async def _resume(self) -> None:
        machine = self._started("The VM could not resume")
        self._events.emit("vm", "resuming")
        self._demand_move(
            machine, "Running", "The VM could not resume", "Cannot resume VM", "resume"
        )
        self._go_on(machine)

    def _go_on(self, machine: Machine) -> None:
        assert machine.guest is not None
        machine.guest.run()
        machine.state = "Running"
        self._events.emit("vm", "resumed")

    async def _shutdown(self) -> None:
        self._started("The VM could not shutdown")
        self._let_go()

    async def _delete(self) -> None:
        self._let_go()

    async def _vmm_shutdown(self) -> Answer:
        asyncio.get_running_loop().call_soon(self.terminate)
        return 200, None

    def terminate(self) -> None:
        """End cleanly, whatever runs."""
        if self._machine is not None:
            self._let_go()
        self._events.emit("vmm", "shutdown")
        self._end(0)

    def _let_go(self) -> None:
        if self._machine is not None:
            if self._machine.guest is not None:
                self._events.emit("vm", "shutdown")
            self._machine.close()
            self._machine = None
            self._events.emit("vm", "deleted")

    # -- snapshots --------------------------------------------------------------------------

    async def _snapshot(self, body: Json) -> None:
        what = "The VM could not be snapshotted"
        machine = self._started(what)
        self._events.emit("vm", "snapshotting")
        if machine.state != "Paused":
            cannot = ("Cannot snapshot VM", "Failed to snapshot migratable component")
            raise refused(what, *cannot, "Trying to snapshot while VM is running")
        # Before the files exist, and also when they then can't be written.
        self._events.emit("vm", "snapshotted")
        into = Path(str(body["destination_url"]).removeprefix("file://"))
        sending = ("Cannot send VM snapshot", "Failed to send migratable component snapshot")
        if not into.is_dir():
            raise refused(what, *sending, f'Destination is not a directory: "{into}"')
        write_new(into / "config.json", machine.config, what, *sending)
        assert machine.memory is not None
        ranges = []
        if not machine.memory.is_in_its_file:
            ranges = [{"gpa": 0, "length": machine.memory.size}]
        vcpus = (machine.config.get("cpus") or {}).get("boot_vcpus", 1)
        state = state_of(machine.memory.size, machine.zone["id"], ranges, vcpus)
        disks = [str(each["id"]) for each in machine.config.get("disks") or []]
        assert machine.guest is not None
        devices = {**{each: {} for each in disks}, CHANNEL: channel_of(machine.guest.connections())}
        state["snapshots"]["device-manager"] = {"snapshots": devices}
        write_new(into / "state.json", state, what, *sending)
        if ranges:
            try:
                await asyncio.to_thread(machine.memory.write_to, into / "memory-ranges")
            except OSError as error:
                why = f"Guest memory error: {os_words(error)}"
                words = "Error writing dense memory snapshot region"
                raise refused(what, *sending, words, why) from error

    async def _restore(self, body: Json) -> None:
        what = "The VM could not be restored"
        demand_mode(body)
        if self._machine is not None:
            raise refused(what, "VM is already created")
        try:
            machine = await self._restored(body, what)
        except Refusal:
            self._events.emit("vm", "deleted")
            raise
        self._machine = machine
        self._activated()
        self._events.emit("vm", "restoring")
        self._events.emit("vm", "restored")
        if not machine.has_cpus:
            # Nothing is said; its first CPU ends the process as if all were well.
            asyncio.get_running_loop().call_later(CPU_SECONDS, self._end, 0)
            return
        if body.get("resume"):
            self._events.emit("vm", "resuming")
            self._go_on(machine)

    async def _restored(self, body: Json, what: str) -> Machine:
        source = source_of(body, what)
        config = read_json(source / "config.json", "config", what)
        state = read_json(source / "state.json", "state", what)
        if "snapshots" not in state:
            why = "missing field `snapshots` at line 1 column 2"
            raise refused(what, *RECEIVING, "Error deserialising VM state snapshot", why)
        demand_payload(config, what)
        demand_fds(config, body, what)
        if body.get("memory_restore_mode") == "OnDemand" and body.get("prefault"):
            why = "'prefault' cannot be combined with 'memory_restore_mode=ondemand'"
            raise refused(what, "Failed to validate config", why, status=400)
        manager = json.loads(state["snapshots"]["memory-manager"]["snapshot_data"]["state"])
        machine = Machine(config)
        (mapping,) = manager["guest_ram_mappings"]
        if mapping["zone_id"] != machine.zone["id"]:
            raise refused(
                what,
                "Memory manager error",
                "Guest region collection error",
                "No memory region found",
            )
        demand_disks(config, state, what)
        machine.has_cpus = "cpu-manager" in state["snapshots"]
        # Its state's size counts; another one in the configuration is ignored without a word.
        await self._open(machine, what, size=mapping["size"])
        assert machine.memory is not None
        assert machine.guest is not None
        for each in manager["memory_ranges"]["data"]:
            try:
                machine.memory.read_from(source / "memory-ranges", each["length"])
            except OSError as error:
                machine.close()
                why = ("Memory manager error", "Error opening snapshot file", os_words(error))
                raise refused(what, *why) from error
        machine.restored = True
        machine.state = "Paused"
        machine.guest.restore(connections_of(state))
        return machine

    # -- parts ------------------------------------------------------------------------------

    async def _open(self, machine: Machine, what: str, *, size: int) -> None:
        try:
            self._open_payload(machine, what)
            self._open_memory(machine, what, size)
            self._open_disks(machine, what)
            self._open_taps(machine, what)
            disk = machine.disks[-1] if machine.disks else None
            assert machine.memory is not None
            machine.guest = Guest(machine.memory, disk, self._guest_ends)
            await self._open_channel(machine, what)
        except Refusal:
            machine.close()
            raise

    def _open_payload(self, machine: Machine, what: str) -> None:
        initramfs = machine.config["payload"].get("initramfs")
        if initramfs is not None and not os.path.exists(initramfs):
            raise refused(
                what, "Cannot open initramfs file", "No such file or directory (os error 2)"
            )

    def _open_memory(self, machine: Machine, what: str, size: int) -> None:
        zone = machine.zone
        try:
            machine.memory = Memory(size, zone.get("file"), shared=bool(zone.get("shared")))
        except OSError as error:
            why = ("Memory manager error", "Failed to stat filesystem", os_words(error))
            raise refused(what, *why) from error

    def _open_disks(self, machine: Machine, what: str) -> None:
        for each in machine.config.get("disks") or []:
            path = each["path"]
            try:
                machine.disks.append(Disk(path, readonly=bool(each.get("readonly"))))
            except Locked as error:
                raise refused(
                    what,
                    "Error locking disk images: Another instance likely holds a lock",
                    "Cannot lock images of all block devices",
                    f"Failed to get Write lock for disk image: {path}",
                    "The file is already locked",
                ) from error
            except OSError as error:
                why = (f"I/O error (path={path} op=open)", os_words(error))
                raise refused(
                    what, "Error from device manager", "Cannot open disk path", *why
                ) from error

    def _open_taps(self, machine: Machine, what: str) -> None:
        for card in machine.config.get("net") or []:
            if "tap" not in card:
                continue
            try:
                # One that is missing is made, without a word, and goes with the process.
                machine.taps.append(open_tap(str(card["tap"])))
            except OSError as error:
                raise refused(
                    what,
                    "Error from device manager",
                    "Cannot create virtio-net device",
                    "Open tap device failed",
                    "Unable to configure tap interface",
                    os_words(error),
                ) from error

    async def _open_channel(self, machine: Machine, what: str) -> None:
        vsock = machine.config.get("vsock")
        if not vsock:
            return
        path = vsock["socket"]
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(path)
        except OSError as error:
            listener.close()
            raise refused(
                what,
                "Error from device manager",
                "Cannot create virtio-vsock backend",
                "Error binding to the host-side Unix socket",
                os_words(error),
            ) from error
        machine.channel_path = path
        os.chmod(path, 0o700)
        listener.listen(16)
        assert machine.guest is not None
        machine.channel = await asyncio.start_unix_server(machine.guest.connected, sock=listener)

    def _started(self, what: str) -> Machine:
        if self._machine is None or self._machine.guest is None:
            raise refused(what, "VM is not running")
        return self._machine

    def _demand_move(self, machine: Machine, to: str, what: str, cannot: str, verb: str) -> None:
        if machine.state == to:
            why = f"Invalid transition: InvalidStateTransition({to}, {to})"
            raise refused(what, cannot, f"Failed to {verb} migratable component", why)

    def _activated(self) -> None:
        for device in DEVICES:
            self._events.emit("virtio-device", "activated", {"id": device})

    # -- what a guest does to itself --------------------------------------------------------

    def _guest_ends(self, how: str) -> None:
        if how == "off":
            self.terminate()
            return
        if how == "panic":
            print("Kernel panic - not syncing: sysrq triggered crash", flush=True)
            self._events.emit("guest", "panic")
        asyncio.get_running_loop().call_soon(self._reboot)

    def _reboot(self) -> None:
        machine = self._machine
        assert machine is not None
        assert machine.guest is not None
        for device in DEVICES:
            self._events.emit("virtio-device", "reset", {"id": device})
        self._events.emit("vm", "rebooting")
        file = machine.zone.get("file")
        if file is not None and not os.path.exists(file):
            print("GetFileSystemBlockSize: No such file or directory", file=sys.stderr, flush=True)
            self._end(1)
            return
        # In the same process, from its image, with nothing of what it had in memory.
        machine.guest.boot()
        self._events.emit("vm", "rebooted")
