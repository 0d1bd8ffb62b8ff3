"""A place to write while the agent's repository stays as it is."""

import os

SCRATCH = b"ona-scratch"
SPARE_BYTES = 1 << 20


class Scratch:
    """A repository for one checkpoint, which borrows the objects of another one."""

    def __init__(self, place: bytes, git_dir: bytes) -> None:
        own = SCRATCH if place == git_dir else SCRATCH + git_dir.replace(b"/", b"-")
        self.git_dir = os.path.join(place, own)
        self.pack = os.path.join(self.git_dir, b"bundle.pack")
        self._lender = git_dir

    def __enter__(self) -> "Scratch":
        self.__exit__()
        for name in (b"objects/info", b"objects/pack", b"refs"):
            os.makedirs(os.path.join(self.git_dir, name), mode=0o700)
        self._put(b"HEAD", b"ref: refs/heads/none\n")
        self._put(b"config", b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
        self._put(b"objects/info/alternates", os.path.join(self._lender, b"objects") + b"\n")
        shallow = os.path.join(self._lender, b"shallow")
        if os.path.exists(shallow):
            with open(shallow, "rb") as file:
                self._put(b"shallow", file.read())
        return self

    def __exit__(self, *_: object) -> None:
        remove(self.git_dir)

    def _put(self, name: bytes, data: bytes) -> None:
        with open(os.path.join(self.git_dir, name), "wb") as file:
            file.write(data)

    def read(self, ref: str) -> str:
        """The object that a ref is at."""
        with open(os.path.join(self.git_dir, ref.encode()), encoding="ascii") as file:
            return file.read().strip()


def has_room(place: bytes, size_bytes: int) -> bool:
    """Whether files of this size fit there twice: as objects, and packed."""
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize > 2 * size_bytes + SPARE_BYTES


def remove(directory: bytes) -> None:
    """Remove a directory and what is in it, as far as that goes. Idempotent."""
    for parent, names, files in os.walk(directory, topdown=False):
        for name in files:
            _drop(os.path.join(parent, name), directory=False)
        for name in names:
            _drop(os.path.join(parent, name), directory=True)
    _drop(directory, directory=True)


def _drop(path: bytes, *, directory: bool) -> None:
    try:  # noqa: SIM105 (contextlib is slow to import)
        (os.rmdir if directory else os.unlink)(path)
    except OSError:
        pass
