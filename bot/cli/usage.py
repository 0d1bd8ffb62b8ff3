"""`ona usage`: what models cost, by whom and for what."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from bot.cli import show
from bot.cli.audit import moment
from bot.cli.show import Json


class By(StrEnum):
    """What is put together."""

    SESSION = "session"
    PERSON = "person"
    PROJECT = "project"
    DAY = "day"
    MODEL = "model"
    TURN = "turn"


NAMES = {"session": "title", "person": "name", "turn": "session"}
"""Of what a row is called, where that is more than its key."""


def usage(
    *,
    by: Annotated[By, typer.Option(help="What is put together.")] = By.SESSION,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="From that day on (UTC): 7d, 2026-11-28.")
    ] = "30d",
    session: Annotated[str | None, typer.Option(help="Of this session.")] = None,
    project: Annotated[str | None, typer.Option(help="Of this project.")] = None,
    person: Annotated[str | None, typer.Option(help="Of this person, by name or id.")] = None,
    json: Json = False,
) -> None:
    """Show what models cost, the dearest first; days the newest first."""
    from bot.cli.client import connect

    asked = {
        "by": by.value,
        "since": moment(since).date().isoformat(),
        "session": session,
        "project": project,
        "person": person,
    }
    found = connect().get(
        "/usage", **{name: value for name, value in asked.items() if value is not None}
    )
    if json:
        show.as_json(found)
        return
    columns = {"key": by.value}
    columns |= {"usd": "USD", "requests": "requests", "in": "tokens in", "out": "tokens out"}
    if by.value in NAMES:
        columns["name"] = NAMES[by.value]
    show.table([_row(one) for one in found["usage"]], columns, empty="Nothing was spent on models.")
    if found["usage"]:
        show.status(f"Together {found['cost_usd']:.2f} USD since {found['since']}.")


def _row(one: dict[str, Any]) -> dict[str, Any]:
    read = one["input_tokens"] + one["cache_read_tokens"] + one["cache_write_tokens"]
    mark = "~" if one["is_estimated"] else ""
    return {
        **one,
        "key": one["key"] or "deleted, private",
        "usd": f"{mark}{one['cost_usd']:.4f}",
        "in": f"{read:,}",
        "out": f"{one['output_tokens']:,}",
    }
