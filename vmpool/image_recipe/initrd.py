"""The initrd: busybox, the modules that the disk and the channel need, and a script."""

from collections.abc import Iterator
from pathlib import Path

from vmpool.image_recipe.cpio import end, entry

APPLETS = ("insmod", "mkdir", "mount", "poweroff", "sh", "sleep", "switch_root")
DIRECTORIES = ("bin", "dev", "image", "modules", "proc", "root", "sys", "writable")


def make_initrd(*, busybox: Path, modules: Path, init: Path) -> bytes:
    """Build a cpio archive as a kernel unpacks it; modules are loaded in the order of their names.

    Not compressed: unpacking would take longer under emulation than reading does.
    """
    return b"".join(_entries(busybox, modules, init)).ljust(512, b"\0")


def _entries(busybox: Path, modules: Path, init: Path) -> Iterator[bytes]:
    for name in DIRECTORIES:
        yield entry(name, 0o40755)
    yield entry("dev/console", 0o20600, device=(5, 1))
    yield entry("bin/busybox", 0o100755, busybox.read_bytes())
    for applet in APPLETS:
        yield entry(f"bin/{applet}", 0o120777, b"busybox")
    yield entry("init", 0o100755, init.read_bytes())
    for module in sorted(modules.iterdir()):
        yield entry(f"modules/{module.name}", 0o100644, module.read_bytes())
    yield end()
