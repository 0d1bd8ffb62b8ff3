"""`ona reminders`: what is said at a time, or answered then."""

from typing import Annotated

import typer

from bot.cli import show
from bot.cli.show import Json

app = typer.Typer(help="Set, list and change your reminders.", rich_markup_mode=None)
Short = Annotated[str, typer.Argument(help="As `ona reminders list` shows it, such as r-7f3k.")]
When = Annotated[str, typer.Argument(help='Such as "tomorrow 9", "every weekday at 8:30", cron.')]
COLUMNS = {"reminder": "reminder", "state": "state", "due": "next", "when": "when", "what": "what"}


@app.callback(invoke_without_command=True)
def reminders(context: typer.Context, json: Json = False) -> None:
    """Set, list and change your reminders; alone it lists them."""
    if context.invoked_subcommand is None:
        list_reminders(json=json)


@app.command("list")
def list_reminders(
    json: Json = False,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="Those of others too; for operators.")
    ] = False,
) -> None:
    """List them, what is due next first."""
    from bot.cli.client import connect

    found = connect().get("/reminders", everyone=everyone)
    if json:
        show.as_json(found)
        return
    rows = [{**one, "due": (one["next"] or [""])[0]} for one in found["reminders"]]
    columns = {**COLUMNS, "by": "by"} if everyone else COLUMNS
    show.table(rows, columns, empty='No reminder: `ona reminders add "tomorrow 9" …` sets one.')


@app.command()
def add(
    when: When,
    what: Annotated[str, typer.Argument(help="What is said then.")],
    *,
    answer: Annotated[bool, typer.Option("--answer", help="An agent answers it then.")] = False,
    only_changed: Annotated[
        bool, typer.Option("--only-changed", help="Post an answer only if something changed.")
    ] = False,
    session: Annotated[str | None, typer.Option(help="In whose thread; else a new one.")] = None,
    project: Annotated[str | None, typer.Option(help="Of a new session.")] = None,
    zone: Annotated[str | None, typer.Option(help="Such as Europe/Berlin; else yours.")] = None,
    json: Json = False,
) -> None:
    """Set one, and say when it is due."""
    from bot.cli.client import connect

    wanted = {"when": when, "what": what, "answer": answer, "only_changed": only_changed}
    named = {"session": session, "project": project, "zone": zone}
    body = {**wanted, **{key: value for key, value in named.items() if value is not None}}
    _print(connect().post("/reminders", body), json=json)


@app.command("show")
def show_one(short: Short, json: Json = False) -> None:
    """Show one and its next three times."""
    from bot.cli.client import at, connect

    _print(connect().get(at("/reminders/{}", short)), json=json)


@app.command()
def edit(
    short: Short,
    *,
    when: Annotated[str | None, typer.Option(help="Another time.")] = None,
    quiet: Annotated[str | None, typer.Option(help="Hours as 22:00-07:00, or off.")] = None,
    only_changed: Annotated[
        bool | None,
        typer.Option("--only-changed/--each-time", help="When its answer is posted."),
    ] = None,
    json: Json = False,
) -> None:
    """Give it another time, hours in which nothing is posted, or post it otherwise."""
    from bot.cli.client import at, connect

    named = {"when": when, "quiet": quiet, "only_changed": only_changed}
    body = {key: value for key, value in named.items() if value is not None}
    _print(connect().patch(at("/reminders/{}", short), body), json=json)


@app.command()
def pause(short: Short) -> None:
    """Let it not be due until it is resumed."""
    from bot.cli.client import at, connect

    show.say(connect().post(at("/reminders/{}/pause", short))["text"])


@app.command()
def resume(short: Short) -> None:
    """Let it go on."""
    from bot.cli.client import at, connect

    show.say(connect().post(at("/reminders/{}/resume", short))["text"])


@app.command()
def delete(short: Short) -> None:
    """Forget it."""
    from bot.cli.client import at, connect

    show.say(connect().delete(at("/reminders/{}", short))["text"])


def _print(one: dict[str, object], *, json: bool) -> None:
    if json:
        show.as_json(one)
        return
    following = one["next"] if isinstance(one["next"], list) else []
    show.say(f"{one['reminder']} {one['state']}: {one['when']} ({one['zone']})")
    show.say(f"What: {one['what']}")
    for at in following:
        show.say(f"Due: {at}")
