"""A guest's memory, mapped as the real one maps it, and its disk: all that a guest keeps."""

import fcntl
import hashlib
import json
import mmap
import os
import signal
import struct
from pathlib import Path
from typing import Any

RECORD = 4096
"""Where the guest's variables lie in its memory."""
RECORD_BYTES_MAX = 64 * 1024
FILL = 1 << 20
DISK_RECORD = 1 << 20
MAGIC = b"fakedisk"
COPY_BYTES = 1 << 20
_LENGTH = struct.Struct("<I")
_F_OFD_SETLK = 37
_FLOCK = struct.Struct("hhqqi")


class Memory:
    """One memory zone."""

    def __init__(self, size: int, file: str | None, *, shared: bool) -> None:
        """:raises FileNotFoundError: its file is missing"""
        self.size = size
        self.file = file
        self.shared = shared
        self.is_short = False
        if file is None:
            self._map = mmap.mmap(-1, size)
            return
        fd = os.open(file, os.O_RDWR if shared else os.O_RDONLY)
        try:
            # A real one maps it all the same, and dies when the missing pages are touched.
            self.is_short = os.fstat(fd).st_size < size
            kind = mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
            length = min(size, os.fstat(fd).st_size)
            self._map = mmap.mmap(fd, length, flags=kind, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        finally:
            os.close(fd)

    def touch(self) -> None:
        """Let the guest use all of it."""
        if self.is_short:
            os.kill(os.getpid(), signal.SIGBUS)

    @property
    def is_in_its_file(self) -> bool:
        """Whether a snapshot need not write it."""
        return self.file is not None and self.shared

    def put(self, record: dict[str, Any]) -> None:
        """Keep the guest's variables."""
        data = json.dumps(record).encode()
        self._map[RECORD : RECORD + 4 + len(data)] = _LENGTH.pack(len(data)) + data

    def get(self) -> dict[str, Any]:
        """The guest's variables; nothing of them in a memory that nobody wrote."""
        (length,) = _LENGTH.unpack(self._map[RECORD : RECORD + 4])
        if not 0 < length <= RECORD_BYTES_MAX:
            return {}
        found = json.loads(self._map[RECORD + 4 : RECORD + 4 + length])
        assert isinstance(found, dict)
        return found

    def fill(self, mib: int) -> None:
        """Fill so much of it with what nobody can guess."""
        self._map[FILL : FILL + (mib << 20)] = os.urandom(mib << 20)

    def sum(self, mib: int) -> str:
        """Digest what was filled."""
        return hashlib.md5(self._map[FILL : FILL + (mib << 20)]).hexdigest()

    def write_to(self, path: Path) -> None:
        """Write all of it: its full size at once, then the bytes."""
        with path.open("xb") as out:
            out.truncate(self.size)
            for place in range(0, self.size, COPY_BYTES):
                out.write(self._map[place : place + COPY_BYTES])

    def read_from(self, path: Path, length: int) -> None:
        """Take over what is there of so many bytes; a short file is no error."""
        with path.open("rb") as file:
            place = 0
            while place < length and (data := file.read(COPY_BYTES)):
                self._map[place : place + len(data)] = data
                place += len(data)

    def close(self) -> None:
        """Let go of it."""
        self._map.close()


class Locked(Exception):
    """Another machine has the disk."""


class Disk:
    """An open image, locked as the real one locks it."""

    def __init__(self, path: str, *, readonly: bool) -> None:
        """:raises OSError, Locked:"""
        self._fd = os.open(path, os.O_RDONLY if readonly else os.O_RDWR)
        kind = fcntl.F_RDLCK if readonly else fcntl.F_WRLCK
        try:
            fcntl.fcntl(self._fd, _F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
        except OSError as error:
            os.close(self._fd)
            raise Locked(path) from error

    def files(self) -> dict[str, str]:
        """What the guest wrote; nothing on a disk that none did."""
        head = os.pread(self._fd, len(MAGIC) + 4, DISK_RECORD)
        if not head.startswith(MAGIC):
            return {}
        (length,) = _LENGTH.unpack(head[len(MAGIC) :])
        found = json.loads(os.pread(self._fd, length, DISK_RECORD + len(head)))
        assert isinstance(found, dict)
        return found

    def write(self, files: dict[str, str]) -> None:
        """Keep them."""
        data = json.dumps(files).encode()
        os.pwrite(self._fd, MAGIC + _LENGTH.pack(len(data)) + data, DISK_RECORD)

    def close(self) -> None:
        """Unlock and close."""
        os.close(self._fd)
