"""A container registry on loopback, and images made of nothing: a few files, one layer."""

import gzip
import hashlib
import io
import json
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

MEDIA = "application/vnd.oci.image"
PROGRAM = "docker-registry"
"""Of Debian's package of that name."""
START_SECONDS_MAX = 30.0
APPLETS = (
    *("sh", "cat", "chmod", "chown", "cp", "cut", "env", "grep", "id", "ls", "ln"),
    *("mkdir", "mv", "nc", "ps", "readlink", "rm", "sed", "sleep", "stat", "test", "touch", "tr"),
    *("true", "uname", "wget", "httpd", "dirname", "basename", "head", "tail", "sort", "whoami"),
)


def missing() -> str:
    """What this host lacks for a registry; empty: nothing."""
    return "" if shutil.which(PROGRAM) else f"{PROGRAM} is not installed"


@contextmanager
def registry(directory: Path, *, htpasswd: str = "") -> Iterator[int]:
    """The port of one whose images lie in `directory`.

    :param htpasswd: who may come in, `user:bcrypt`; none: everybody
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = directory / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {directory}/registry}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    if htpasswd:
        (directory / "htpasswd").write_text(f"{htpasswd}\n")
        with config.open("a") as more:
            more.write(f"auth: {{htpasswd: {{realm: images, path: {directory}/htpasswd}}}}\n")
    process = subprocess.Popen(
        [PROGRAM, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        due = time.monotonic() + START_SECONDS_MAX
        while not _listens(port):
            assert process.poll() is None, "the registry ended at its start"
            assert time.monotonic() < due, "the registry did not start"
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


def busybox_tree(*, busybox: Path = Path("/bin/busybox")) -> bytes:
    """A tar of a small system: busybox, root, and a user `dev` with the number 1000."""
    tree = {
        "bin/busybox": busybox.read_bytes(),
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\ndev:x:1000:1000::/home/dev:/bin/sh\n",
        "etc/group": b"root:x:0:\ndev:x:1000:\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("bin", "etc", "home", "root", "tmp", "usr", "usr/bin", "var", "work"):
            archive.addfile(_entry(name, tarfile.DIRTYPE, mode=0o1777 if name == "tmp" else 0o755))
        home = _entry("home/dev", tarfile.DIRTYPE)
        home.uid = home.gid = 1000
        archive.addfile(home)
        for applet in APPLETS:
            link = _entry(f"bin/{applet}", tarfile.SYMTYPE)
            link.linkname = "busybox"
            archive.addfile(link)
        for name, data in tree.items():
            file = _entry(name, tarfile.REGTYPE)
            file.size = len(data)
            archive.addfile(file, io.BytesIO(data))
    return packed.getvalue()


def push(
    registry: str, name: str, tag: str, tree: bytes, config: Mapping[str, Any] | None = None
) -> None:
    """Make an image of a tar and put it into the registry at `host:port`."""
    layer = gzip.compress(tree, 1, mtime=0)
    described = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/sh"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [_digest(tree)]},
        "history": [{"created_by": "a test"}],
    }
    connection = HTTPConnection(registry)
    blobs = [json.dumps(described).encode(), layer]
    for blob in blobs:
        _upload(connection, name, blob)
    kinds = (f"{MEDIA}.config.v1+json", f"{MEDIA}.layer.v1.tar+gzip")
    parts = [
        {"mediaType": kind, "digest": _digest(blob), "size": len(blob)}
        for kind, blob in zip(kinds, blobs, strict=True)
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{MEDIA}.manifest.v1+json",
        "config": parts[0],
        "layers": parts[1:],
    }
    headers = {"Content-Type": manifest["mediaType"]}
    connection.request("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(manifest), headers)
    _expect(connection, 201)
    connection.close()


def _upload(connection: HTTPConnection, name: str, blob: bytes) -> None:
    connection.request("POST", f"/v2/{name}/blobs/uploads/")
    where = _expect(connection, 202)
    joined = "&" if "?" in where else "?"
    headers = {"Content-Type": "application/octet-stream"}
    connection.request("PUT", f"{where}{joined}digest={_digest(blob)}", blob, headers)
    _expect(connection, 201)


def _expect(connection: HTTPConnection, status: int) -> str:
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status == status, (answer.status, said)
    return answer.getheader("Location", "")


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _entry(name: str, kind: bytes, *, mode: int = 0o755) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry
