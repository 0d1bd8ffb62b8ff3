"""`ona doctor`: can ona run here, and what to do where it can't."""

import asyncio

import typer

from bot.cli import show
from bot.config import load
from bot.doctor.examine import examine
from bot.doctor.finding import as_rows, is_fit, render
from bot.errors import EXIT_UNREACHABLE


def doctor(*, json: bool) -> None:
    """Print the findings. :raises typer.Exit: 3, when something is missing."""
    findings = asyncio.run(examine(load()))
    if json:
        show.as_json(as_rows(findings))
    else:
        show.say(render(findings))
    if not is_fit(findings):
        raise typer.Exit(EXIT_UNREACHABLE)
