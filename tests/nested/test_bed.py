"""What a host must offer to Cloud Hypervisor, without any code of the driver."""

import fcntl
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.caches import cache_dir
from tests.fakes.tiny_guest import tiny_image

HYPERVISOR = os.environ.get("CLOUD_HYPERVISOR", "")
KVM_GET_API_VERSION = 0xAE00
KVM_API_VERSION = 12
START_SECONDS_MAX = 30
BOOT_SECONDS_MAX = 180
MEMORY_BYTES = 128 << 20

pytestmark = [
    pytest.mark.nested,
    pytest.mark.skipif(not HYPERVISOR, reason="CLOUD_HYPERVISOR is not set"),
]


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def put(api: Path, verb: str, body: dict[str, Any] | None = None) -> None:
    """One call of the API, which has to succeed."""
    connection = _Connection(api)
    try:
        data = None if body is None else json.dumps(body)
        connection.request("PUT", f"/api/v1/{verb}", body=data)
        answer = connection.getresponse()
        assert answer.status == 204, answer.read()
    finally:
        connection.close()


def wait(what: str, done: Callable[[], bool], seconds_max: float) -> None:
    """Look until it is so."""
    latest = time.monotonic() + seconds_max
    while not done():
        assert time.monotonic() < latest, f"not within {seconds_max:g} s: {what}"
        time.sleep(0.05)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Path]:
    """The API socket of a hypervisor without a machine."""
    path = tmp_path / "api"
    process = subprocess.Popen([HYPERVISOR, "--api-socket", f"path={path}"])
    try:
        wait("an API socket", path.exists, START_SECONDS_MAX)
        yield path
    finally:
        process.kill()
        process.wait()


def test_kvm_answers() -> None:
    device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    try:
        assert fcntl.ioctl(device, KVM_GET_API_VERSION, 0) == KVM_API_VERSION
    finally:
        os.close(device)


def test_the_hypervisor_runs() -> None:
    said = subprocess.run([HYPERVISOR, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("cloud-hypervisor v")


def test_a_guest_boots(api: Path, tmp_path: Path) -> None:
    image = tiny_image(cache_dir())
    disk, serial = tmp_path / "disk", tmp_path / "serial"
    shutil.copy(image.disk, disk)
    machine = {
        "cpus": {"boot_vcpus": 1, "max_vcpus": 1},
        "memory": {"size": MEMORY_BYTES},
        "payload": {
            "kernel": str(image.kernel),
            "initramfs": str(image.initrd),
            "cmdline": "console=ttyS0 panic=-1",
        },
        "disks": [{"path": str(disk), "image_type": "Raw"}],
        "serial": {"mode": "File", "file": str(serial)},
        "console": {"mode": "Off"},
    }
    put(api, "vm.create", machine)
    put(api, "vm.boot")
    wait("the guest's words", lambda: b"tiny guest is up" in serial.read_bytes(), BOOT_SECONDS_MAX)
