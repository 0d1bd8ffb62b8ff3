"""`ona work` as it is, with a guest image that is not built: for tests in which nothing boots.

Run as `python -m tests.fakes.ona_work`, with the settings of `ona work`.
"""

from pathlib import Path
from typing import Any

import bot.images
from bot.__main__ import main
from vmpool.driver import Image


async def ensure_image(cache: Path, **_: Any) -> Image:
    """Files that only lie where those of an image do."""
    cache.mkdir(parents=True, exist_ok=True)
    kernel, initrd, disk = (cache / name for name in ("kernel", "initrd", "disk"))
    for path in (kernel, initrd, disk):
        path.touch()
    return Image(kernel=kernel, initrd=initrd, disk=disk, digest="none")


if __name__ == "__main__":
    bot.images.ensure_image = ensure_image
    main(["work"])
