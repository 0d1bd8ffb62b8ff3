"""`ona memory`: the notes that a project's agents and people leave for later sessions."""

import sys
from typing import Annotated

import typer

from bot.cli import show
from bot.cli.show import Json

app = typer.Typer(help="List, show, set and remove a project's notes.", rich_markup_mode=None)

Project = Annotated[str, typer.Argument(help="The project's name.")]
Name = Annotated[str, typer.Argument(help="The note's name.")]
COLUMNS = {"name": "name", "size": "bytes", "updated_at": "written", "by": "by", "session": "agent"}


@app.command("list")
def list_notes(project: Project, json: Json = False) -> None:
    """List the notes: who wrote each and when."""
    from bot.cli.client import at, connect

    found = connect().get(at("/projects/{}/memory", project))
    if json:
        show.as_json(found)
        return
    show.table(
        found["notes"], COLUMNS, empty=f"No note: `ona memory set {project} NAME` writes one."
    )


@app.command("show")
def show_note(project: Project, name: Name, json: Json = False) -> None:
    """Print a note."""
    from bot.cli.client import at, connect

    found = connect().get(at("/projects/{}/memory/{}", project, name))
    if json:
        show.as_json(found)
    else:
        show.say(found["text"])


@app.command("set")
def set_note(project: Project, name: Name, json: Json = False) -> None:
    """Write a note from standard input, over the one of that name."""
    from bot.cli.client import at, connect

    if sys.stdin.isatty():
        show.status("Write the note, then Ctrl-D:")
    done = connect().put(at("/projects/{}/memory/{}", project, name), {"text": sys.stdin.read()})
    if json:
        show.as_json(done)
    else:
        show.say(done["text"])


@app.command()
def remove(project: Project, name: Name) -> None:
    """Remove a note."""
    from bot.cli.client import at, connect

    show.say(connect().delete(at("/projects/{}/memory/{}", project, name))["text"])
