"""What a job wrote, kept on disk up to a bound; readers come with offsets."""

import os


class Spool:
    """One output stream of one job: bytes 0..length are in the file, the rest was dropped."""

    def __init__(self, path: str, bytes_max: int) -> None:
        self.path = path
        self.bytes_max = bytes_max
        self.length = 0
        self.dropped = 0
        self._fd = -1

    def create(self) -> None:
        """Begin empty. :raises OSError: the disk is full or read-only."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._fd = os.open(self.path, flags, 0o644)

    def append(self, data: bytes) -> None:
        """Keep what fits and count the rest; a full disk is a bound like the other."""
        room = min(len(data), self.bytes_max - self.length)
        kept = 0
        if room > 0 and self._fd >= 0:
            try:
                kept = os.pwrite(self._fd, memoryview(data)[:room], self.length)
            except OSError:
                kept = 0
        self.length += kept
        if kept < len(data):
            self.dropped += len(data) - kept
            # A gap must not be followed by later bytes: offsets would no longer say where.
            self.bytes_max = self.length

    def close(self) -> None:
        """Nothing more will be written; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def recover(self, dropped: int) -> None:
        """Take over the file of an earlier life of the machine."""
        try:
            self.length = os.stat(self.path).st_size
        except OSError:
            self.length = 0
        self.dropped = dropped
