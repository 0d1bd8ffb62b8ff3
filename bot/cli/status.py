"""`ona status`: what `ona up` keeps alive here, and since when."""

from dataclasses import asdict

import typer

from bot.cli import show
from bot.config import load
from bot.errors import EXIT_UNREACHABLE
from bot.processes import running

COLUMNS = {
    "name": "process",
    "state": "state",
    "since": "since",
    "pid": "pid",
    "restarts": "restarts",
    "ended": "ended before by",
}


def status(*, json: bool) -> None:
    """Print them. :raises typer.Exit: 3, when one of them does not run."""
    found = running(load().data_dir)
    rows = [{**asdict(one), "state": "ended" if one.pid is None else "runs"} for one in found or []]
    if json:
        show.as_json({"processes": rows})
    else:
        show.table(rows, COLUMNS, empty="`ona up` does not run here: it starts everything.")
    if not rows or any(row["pid"] is None for row in rows):
        raise typer.Exit(EXIT_UNREACHABLE)
