"""One part of the bench in a process of its own: `python -m tests.bench.one_part NAME FILE`.

Writes its figures to FILE as JSON. SIGINT ends it cleanly.
"""

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from tests.bench.parts import PARTS, run


def main(name: str, into: str) -> None:
    # It is ignored in what a shell started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    figures = run(PARTS[name])
    Path(into).write_text(json.dumps([asdict(figure) for figure in figures]))


if __name__ == "__main__":
    main(*sys.argv[1:])
