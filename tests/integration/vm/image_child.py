"""A process that builds the guest image in the cache given, and says so line by line."""

import asyncio
import sys
from pathlib import Path

from vmpool.image import ensure_image

if __name__ == "__main__":
    found = asyncio.run(
        ensure_image(Path(sys.argv[1]), progress=lambda step: print(step, flush=True))
    )
    print("digest", found.digest, flush=True)
