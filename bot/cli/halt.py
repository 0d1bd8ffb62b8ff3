"""`ona halt` and `ona resume`: what is told to stand still, and to go on."""

from typing import Annotated

import typer

from bot.cli import show
from bot.cli.show import Json

Project = Annotated[str | None, typer.Option(help="Only this project.")]
Person = Annotated[str | None, typer.Option(help="Only what this person asks for; name or id.")]
COLUMNS = {"scope": "scope", "target": "what", "by": "by", "at": "since", "why": "why"}


def halt(
    *,
    project: Project = None,
    person: Person = None,
    why: Annotated[str, typer.Option(help="Told to whoever waits.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="Show what is halted.")] = False,
    json: Json = False,
) -> None:
    """Stop running turns within 5 s and hand nothing out until `ona resume`."""
    from bot.cli.client import connect

    if list_:
        found = connect().get("/halts")
        if json:
            show.as_json(found)
        else:
            show.table(found["halts"], COLUMNS, empty="Nothing is halted.")
        return
    done = connect().post("/halts", {"project": project, "person": person, "why": why})
    _say(done, json=json)


def resume(*, project: Project = None, person: Person = None, json: Json = False) -> None:
    """Undo `ona halt`: what waited goes on."""
    from bot.cli.client import connect

    wanted = {"project": project, "person": person}
    named = {key: value for key, value in wanted.items() if value is not None}
    _say(connect().delete("/halts", **named), json=json)


def _say(done: dict[str, object], *, json: bool) -> None:
    if json:
        show.as_json(done)
    else:
        show.say(str(done["text"]))
