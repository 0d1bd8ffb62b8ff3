"""How the real one refuses, and the files of its snapshots, in its own words."""

import json
import os
from pathlib import Path
from typing import Any

Json = dict[str, Any]

CHANNEL = "vsock0"
"""The channel among the devices of a state."""
GUEST_PORT = 1024
CPU_CHARACTERS = 32_600
"""That a real one writes of the state of one virtual CPU."""


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, *chain: str) -> None:
        super().__init__(chain)
        self.status = status
        self.chain = list(chain)


def refused(what: str, *chain: str, status: int = 500) -> Refusal:
    """An error of the API: `what` could not be done, and why."""
    return Refusal(status, "Error from API", what, *chain)


def os_words(error: OSError) -> str:
    """As Rust spells an error of the system."""
    return f"{error.strerror} (os error {error.errno})"


RECEIVING = ("Cannot restore VM", "Failed to receive migratable component snapshot")


def read_object(body: bytes) -> Json:
    """A request's body. :raises Refusal: it is none"""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Refusal(400, "Failed to deserialize JSON", str(error)) from error
    if not isinstance(found, dict):
        raise Refusal(400, "Failed to deserialize JSON", "invalid type")
    return found


def demand_payload(config: Json, what: str) -> None:
    """Whether there is something to boot."""
    if not (config.get("payload") or {}).get("kernel"):
        why = ("Payload configuration is not bootable",)
        why = (
            "Failed to validate config",
            *why,
            "No bootitem provided: neither firmware nor kernel",
        )
        raise refused(what, *why, status=400)


def demand_fds(config: Json, body: Json, what: str) -> None:
    """Whether every network device of descriptors is given some."""
    given = {each.get("id") for each in body.get("net_fds") or []}
    for card in config.get("net") or []:
        if card.get("fds") and card.get("id") not in given:
            why = f"Net id {card.get('id')} is associated with FDs and is required"
            raise refused(what, "Failed to validate config", why, status=400)


def demand_disks(config: Json, state: Json, what: str) -> None:
    """Whether there is a state of so many disks."""
    devices = state["snapshots"].get("device-manager", {}).get("snapshots", {})
    known = [device for device in devices if device != CHANNEL]
    # One that is called otherwise takes the place of the one before; one more finds none.
    if len(config.get("disks") or []) > len(known):
        why = ("Failed to find an available PCI device ID",)
        number = "Valid PCI device identifier but already used: 3"
        raise refused(what, "Error from device manager", *why, number)


def demand_mode(body: Json) -> None:
    """Whether the way to restore is one."""
    mode = body.get("memory_restore_mode", "Copy")
    if mode not in {"Copy", "OnDemand"}:
        why = f"unknown variant `{mode}`, expected `Copy` or `OnDemand` {_end_of(mode, body)}"
        raise Refusal(400, "Failed to deserialize JSON", why)


def _end_of(value: Any, body: Json) -> str:
    """Where a value ends in a body as our client writes it."""
    text, word = json.dumps(body), json.dumps(value)
    return f"at line 1 column {text.index(word) + len(word)}"


def _serde_words(text: str, error: json.JSONDecodeError) -> str:
    """As the real one's reader says what is wrong with JSON."""
    if error.msg.startswith("Unterminated string"):
        return f"EOF while parsing a string at line 1 column {len(text)}"
    if error.pos >= len(text.rstrip()):
        what = "an object" if text.startswith("{") else "a value"
        return f"EOF while parsing {what} at line 1 column {len(text)}"
    return f"expected value at line {error.lineno} column {error.colno}"


def source_of(body: Json, what: str) -> Path:
    """The directory that a restore reads."""
    url = body.get("source_url")
    if not isinstance(url, str):
        why = f"invalid type: null, expected path string {_end_of(url, body)}"
        raise Refusal(400, "Failed to deserialize JSON", why)
    sending = ("Cannot restore VM", "Failed to send migratable component snapshot")
    if not url.startswith("file://"):
        raise refused(what, *sending, f"Could not extract path from URL: {url}")
    source = Path(url.removeprefix("file://"))
    if not source.is_dir():
        raise refused(what, *sending, f'Destination is not a directory: "{source}"')
    return source


def read_json(path: Path, name: str, what: str) -> Json:
    """A file of a snapshot."""
    try:
        text = path.read_text()
    except OSError as error:
        why = f'Error opening VM {name} snapshot file "{path}"'
        raise refused(what, *RECEIVING, why, os_words(error)) from error
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        why = f"Error deserialising VM {name} snapshot"
        raise refused(what, *RECEIVING, why, _serde_words(text, error)) from error
    assert isinstance(found, dict)
    return found


def write_new(path: Path, words: Json, what: str, *chain: str) -> None:
    """Write a file of a snapshot, which must not be there."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            # Once: what did not fit is missing, and nobody is told.
            os.write(fd, json.dumps(words).encode())
        finally:
            os.close(fd)
    except OSError as error:
        why = f"Error creating VM {path.stem} snapshot file"
        raise refused(what, *chain, why, os_words(error)) from error


def channel_of(connections: list[int]) -> Json:
    """What a state says of who is connected."""
    pairs = [[port, GUEST_PORT] for port in connections]
    return {"snapshots": {}, "snapshot_data": {"state": json.dumps({"connections": pairs})}}


def connections_of(state: Json) -> list[int]:
    """Who was connected when it was written, by the port of the host."""
    node = state["snapshots"]["device-manager"]["snapshots"][CHANNEL]
    return [port for port, _ in json.loads(node["snapshot_data"]["state"])["connections"]]


def state_of(size: int, zone: str, ranges: list[Json], vcpus: int) -> Json:
    """What a snapshot says of a machine's state."""
    mapping = {
        "slot": 1,
        "gpa": 0,
        "size": size,
        "zone_id": zone,
        "virtio_mem": False,
        "file_offset": 0,
    }
    manager = {"memory_ranges": {"data": ranges}, "guest_ram_mappings": [mapping]}
    # A JSON string inside JSON, as the real one has it.
    node = {"snapshots": {}, "snapshot_data": {"state": json.dumps(manager)}}
    cpu = {"snapshots": {}, "snapshot_data": {"state": "0" * CPU_CHARACTERS}}
    cpus = {"snapshots": {str(number): cpu for number in range(vcpus)}}
    return {"snapshots": {"memory-manager": node, "cpu-manager": cpus}}
