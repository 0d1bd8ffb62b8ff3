"""`make bench`: every measurement one after the other, then the page and the JSON.

Each part runs in a process of its own, for a limited time: one that hangs or breaks is reported as
failed and the others go on. Nothing is left behind, after SIGTERM and SIGINT either.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.figures import PAGE, RESULTS, Figure, machine, merged, write, written
from tests.bench.parts import PARTS, Part
from tests.bench.scratch import end_all, scratch

END_SECONDS_MAX = 30.0
"""For a part to clean up when it is told to end."""
REASON_CHARACTERS_MAX = 300
ROOT = Path(__file__).parents[2]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    shown = "\n".join(
        f"  {name:<12}{part.about}; at most {part.seconds_max:g} s" for name, part in PARTS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=f"Measure all parts and write {PAGE.name} and {RESULTS.name}.",
        epilog=f"parts:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        nargs="+",
        choices=list(PARTS),
        help="measure these parts, print their figures, and write nothing",
    )
    parser.add_argument(
        "--update",
        metavar="NAME",
        nargs="+",
        choices=list(PARTS),
        help="measure these parts, and leave what the others measured as it is written",
    )
    return parser.parse_args(arguments)


async def run(name: str, part: Part, directory: Path) -> list[Figure]:
    """Measure a part in a process of its own; one figure that says why, if it failed.

    :param directory: with a short name: some parts have sockets far below it
    """
    into, log = directory / "figures.json", directory / "log"
    directory.mkdir()
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.bench.one_part", name, str(into)),
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(directory)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    late = False
    try:
        async with asyncio.timeout(part.seconds_max):
            await process.wait()
    except TimeoutError:
        late = True
    finally:
        await _end(process)
        await end_all(directory)
    if process.returncode == 0 and into.exists():
        return [Figure(**found) for found in json.loads(into.read_text())]
    text = log.read_text(errors="replace").strip()
    print(text, file=sys.stderr)
    why = f"not done after {part.seconds_max:g} s" if late else text.rpartition("\n")[2]
    return [_failed(name, part, why[:REASON_CHARACTERS_MAX])]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGINT)
    with suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS_MAX):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


def _failed(name: str, part: Part, why: str) -> Figure:
    return Figure(
        name=f"{name}: {part.about}", unit="", yardstick="", target="", passed=False, note=why
    )


async def main(names: Sequence[str]) -> list[Figure]:
    """Measure the parts and return their figures, those of failed parts included."""
    figures: list[Figure] = []
    here, today = machine(), datetime.now(UTC).date().isoformat()
    async with scratch() as directory:
        for number, name in enumerate(names):
            load = os.getloadavg()[0]
            print(f"measuring: {name} (load {load:.1f}) …", flush=True)
            began = time.monotonic()
            found = await run(name, PARTS[name], directory / str(number))
            # Those that were measured in a bed say so by its processor.
            found = [
                replace(
                    one, load=round(load, 1), part=name, date=today, machine=one.machine or here
                )
                for one in found
            ]
            for figure in found:
                print(json.dumps(asdict(figure), ensure_ascii=False), flush=True)
            print(f"  {time.monotonic() - began:.0f} s", flush=True)
            figures += found
    return figures


async def until_signalled(names: Sequence[str]) -> list[Figure] | None:
    """Like `main`; None when SIGTERM or SIGINT ended it."""
    working = asyncio.create_task(main(names))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    try:
        return await working
    except asyncio.CancelledError:
        return None


def command(arguments: Sequence[str]) -> int:
    """0 done, though a target may be missed; 1 a part failed; 130 ended by a signal."""
    given = parse(arguments)
    figures = asyncio.run(until_signalled(given.only or given.update or list(PARTS)))
    if figures is None:
        return 130
    if given.update:
        write(merged(written(), figures, list(PARTS)))
    elif not given.only:
        write(figures)
    return 1 if any(figure.failed for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
