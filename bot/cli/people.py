"""`ona people`: who may sign in."""

from typing import Annotated

import typer

from bot.cli import show
from bot.cli.show import Json

app = typer.Typer(help="See people, add them, make sign-in links.", rich_markup_mode=None)

Who = Annotated[str, typer.Argument(metavar="PERSON", help="Name or id.")]
COLUMNS = {
    "name": "name",
    "is_service": "service",
    "active": "active",
    "operator": "operator",
    "identities": "known as",
    "locale": "language",
    "zone": "time zone",
    "person_id": "id",
}


@app.callback(invoke_without_command=True)
def people(context: typer.Context, json: Json = False) -> None:
    """See people, add them, make sign-in links; alone it lists them."""
    if context.invoked_subcommand is None:
        list_people(json=json)


@app.command("list")
def list_people(json: Json = False) -> None:
    """List everybody by name."""
    from bot.cli.client import connect

    found = connect().get("/people")
    if json:
        show.as_json(found)
        return
    show.table(found["people"], COLUMNS, empty="Nobody.")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The person's name.")],
    *,
    service: Annotated[
        bool, typer.Option("--service", help="It is nobody: automations work in its name.")
    ] = False,
    json: Json = False,
) -> None:
    """Add a person and print their first sign-in link, or a service account, which has none."""
    from bot.cli.client import connect

    if not service:
        _print_link("/people", {"name": name}, json=json)
        return
    added = connect().post("/people/services", {"name": name})
    show.as_json({"name": name}) if json else show.say(added["text"])


@app.command("connect")
def connect_account(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Name or id.")],
    forge: Annotated[str, typer.Argument(help="github or gitlab.")],
    account: Annotated[str, typer.Argument(metavar="ID", help="Number of its account there.")],
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="What it is called there.")],
) -> None:
    """Let an account on a code host be a service account's."""
    from bot.cli.client import at, connect

    body = {"forge": forge, "id": account, "login": login}
    show.say(connect().post(at("/people/{}/accounts", service), body)["text"])


@app.command("disconnect")
def disconnect_account(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Name or id.")],
    forge: Annotated[str, typer.Argument(help="github or gitlab.")],
) -> None:
    """Take a service account's account on a code host away."""
    from bot.cli.client import at, connect

    show.say(connect().delete(at("/people/{}/accounts/{}", service, forge))["text"])


@app.command()
def link(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Name, id or `me`.")] = "me",
    json: Json = False,
) -> None:
    """Print a one-time sign-in link for a browser: yours, or as an operator anybody's."""
    from bot.cli.client import at

    _print_link(at("/people/{}/link", person), None, json=json)


@app.command()
def deactivate(person: Who) -> None:
    """Take every right and credential from a person."""
    from bot.cli.client import at, connect

    show.say(connect().post(at("/people/{}/deactivate", person))["text"])


@app.command()
def activate(person: Who) -> None:
    """Let a deactivated person sign in again."""
    from bot.cli.client import at, connect

    show.say(connect().post(at("/people/{}/activate", person))["text"])


def _print_link(path: str, body: dict[str, str] | None, *, json: bool) -> None:
    from bot.cli.client import connect

    made = connect().post(path, body)
    if json:
        show.as_json(made)
        return
    show.status(f"Signs {made['name']} in once, within {made['minutes']:g} minutes:")
    typer.echo(made["url"])
