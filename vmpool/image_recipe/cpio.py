"""Archives as a kernel unpacks them into its first file system (cpio, "newc"). Pure."""


def entry(name: str, mode: int, data: bytes = b"", *, device: tuple[int, int] = (0, 0)) -> bytes:
    """One record. :param mode: with the kind of file; a symlink's `data` is where it leads"""
    spelled = name.encode() + b"\0"
    numbers = [0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(spelled), 0]
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + spelled
    return _padded(head) + _padded(data)


def end() -> bytes:
    """The last record."""
    return entry("TRAILER!!!", 0)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
