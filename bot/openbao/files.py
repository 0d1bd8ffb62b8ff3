"""What lies in the directory of the embedded OpenBao.

data/store     its storage (raft)
data/keys      what unseals it: whoever has both has every secret in it
data.new       the same while it is being made; renamed when it is complete
token          what our processes speak with
tls.pem, tls.key    its certificate, see `certificate`
server.hcl     its configuration, written at each start
audit.log      every request and answer; audit.old.log the ones before
log, pid       what it says, and which process it is
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from bot.errors import Unfit


def write_private(path: Path, content: bytes) -> None:
    """Replace a file that only we may read; it is whole and on the disk, or as it was before."""
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Have the disk know of renames in it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Files:
    """Paths in the directory."""

    directory: Path

    @property
    def data(self) -> Path:
        """Storage and keys of a complete one."""
        return self.directory / "data"

    @property
    def making(self) -> Path:
        """Of one that is not complete; worth nothing after a crash."""
        return self.directory / "data.new"

    @property
    def token(self) -> Path:
        """Ours."""
        return self.directory / "token"

    @property
    def certificate(self) -> Path:
        """Of the server; clients trust this one alone."""
        return self.directory / "tls.pem"

    @property
    def key(self) -> Path:
        """Of that certificate."""
        return self.directory / "tls.key"

    @property
    def configuration(self) -> Path:
        """Of the server."""
        return self.directory / "server.hcl"

    @property
    def audit(self) -> Path:
        """JSON, a line for each request and each answer; values are only there as digests."""
        return self.directory / "audit.log"

    @property
    def log(self) -> Path:
        """Both output streams of the server."""
        return self.directory / "log"

    @property
    def pid(self) -> Path:
        """Of the server that was started last."""
        return self.directory / "pid"

    def make_directory(self) -> None:
        """:raises Unfit: it belongs to another user"""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = self.directory.stat()
        if found.st_uid != os.geteuid():
            raise Unfit(
                f"{self.directory} belongs to another user",
                do="choose another ONA_DATA_DIR, or run as that user",
            )
        if found.st_mode & 0o777 != 0o700:
            self.directory.chmod(0o700)

    def unseal_key(self) -> str:
        """What unseals it. :raises Unfit: it is missing or broken, though the storage is there"""
        path = self.data / "keys"
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["unseal"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no file of ours"
            raise Unfit(
                f"the key to the secrets in {self.data} can't be read ({path}: {why})",
                kept="the secrets are as they were, and closed",
                do=f"bring {path} back from a copy, or move {self.data} away to begin without them",
            ) from None


def write_unseal_key(data: Path, key: str) -> None:
    """Keep what unseals the storage in `data`, beside it."""
    write_private(data / "keys", json.dumps({"unseal": key}).encode())
