"""`ona tokens`: your API tokens."""

from typing import Annotated

import typer

from bot.cli import show
from bot.cli.show import Json

app = typer.Typer(help="Make and revoke API tokens.", rich_markup_mode=None)

COLUMNS = {
    "id": "id",
    "name": "name",
    "created_at": "made",
    "used_at": "last used",
    "expires_at": "until",
}


@app.callback(invoke_without_command=True)
def tokens(context: typer.Context, json: Json = False) -> None:
    """Make and revoke API tokens; alone it lists yours."""
    if context.invoked_subcommand is None:
        list_tokens(json=json)


@app.command("list")
def list_tokens(json: Json = False) -> None:
    """List your API tokens."""
    from bot.cli.client import connect

    found = connect().get("/tokens")
    if json:
        show.as_json(found)
        return
    show.table(found["tokens"], COLUMNS, empty="You have no token.")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What will use it.")],
    days: Annotated[float | None, typer.Option(min=0.01, help="Its life.")] = None,
    json: Json = False,
) -> None:
    """Make a token and print it this once."""
    from bot.cli.client import connect

    made = connect().post("/tokens", {"name": name, "days": days})
    if json:
        show.as_json(made)
    else:
        typer.echo(made["token"])


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="As `ona tokens` lists it.")],
) -> None:
    """Revoke a token."""
    from bot.cli.client import at, connect

    show.say(connect().delete(at("/tokens/{}", token))["text"])
