"""`ona reminders`: what is said at a time, or answered then."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from bot.cli import show
from bot.cli.show import Json
from bot.errors import Refused
from scheduler.local import is_zone, zone_of

app = typer.Typer(help="Set, list and change your reminders.", rich_markup_mode=None)
Short = Annotated[str, typer.Argument(help="As `ona reminders list` shows it, such as r-7f3k.")]
When = Annotated[str, typer.Argument(help='Such as "tomorrow 9", "every weekday at 8:30", cron.')]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask back.")]
EXAMPLE = '`ona reminders add "tomorrow 9" "look at the build"`'
NOT_SAVED = "nothing was saved"
COLUMNS = {
    "reminder": "reminder",
    "state": "state",
    "due": "next",
    "when": "when",
    "zone": "zone",
    "what": "what",
}


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
    rows = [
        {**one, "state": _state(one), "due": _moment(one["next"][0], one) if one["next"] else ""}
        for one in found["reminders"]
    ]
    columns = {**COLUMNS, "by": "by"} if everyone else COLUMNS
    show.table(rows, columns, empty=f"No reminder: {EXAMPLE} sets one.")


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
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="Channels and people, with commas: slack:#payments, discord:@ben, slack:me; else"
            " its session's thread."
        ),
    ] = None,
    if_missed: Annotated[
        Literal["once", "skip"],
        typer.Option(help="What was due while nothing ran: said once, late, or not at all."),
    ] = "once",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Set one, and say when it is due.

    On a terminal, what was understood is shown first and asked back. Without one, with --yes or
    with --json it is saved at once.
    """
    from bot.cli.client import connect

    if only_changed and not answer:
        raise Refused(
            "words are the same each time, so nothing can have changed in them",
            kept=NOT_SAVED,
            do="add --answer, so that an agent answers it each time",
        )
    for argument, given in (("WHEN", when), ("WHAT", what)):
        if not given.strip():
            raise Refused(f"{argument} is empty", kept=NOT_SAVED, do=f"say it like {EXAMPLE}")
    wanted = {"when": when, "what": what, "answer": answer, "only_changed": only_changed}
    named: dict[str, Any] = {"if_missed": if_missed, "session": session, "project": project}
    named |= {"zone": zone, "to": to}
    body = {**wanted, **{key: value for key, value in named.items() if value is not None}}
    client = connect()
    _save(lambda more: client.post("/reminders", {**body, **more}), yes=yes, json=json)


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
    what: Annotated[str | None, typer.Option(help="What is said instead.")] = None,
    quiet: Annotated[str | None, typer.Option(help="Hours as 22:00-07:00, or off.")] = None,
    only_changed: Annotated[
        bool | None,
        typer.Option("--only-changed/--each-time", help="When its answer is posted."),
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Give it another time or words, hours in which nothing is posted, or post it otherwise.

    On a terminal, what it would be is shown first and asked back. Without one, with --yes or with
    --json it is saved at once.
    """
    from bot.cli.client import at, connect

    named = {"when": when, "what": what, "quiet": quiet, "only_changed": only_changed}
    body = {key: value for key, value in named.items() if value is not None}
    if not body:
        raise Refused(
            "nothing was named to change",
            kept="it is as it was",
            do="give --when, --quiet, --only-changed or --each-time",
        )
    client, path = connect(), at("/reminders/{}", short)
    _save(lambda more: client.patch(path, {**body, **more}), yes=yes, json=json)


@app.command()
def pause(short: Short) -> None:
    """Let it not be due until it is resumed."""
    _act(short, "pause")


@app.command()
def resume(short: Short) -> None:
    """Let it go on."""
    _act(short, "resume")


@app.command()
def yes(short: Short) -> None:
    """Let the words of one that waits for a yes be posted."""
    _act(short, "yes")


@app.command()
def answer(short: Short) -> None:
    """Have an agent answer it each time, also one that waits for a yes."""
    _act(short, "answer")


@app.command()
def no(short: Short) -> None:
    """Forget one that waits for a yes."""
    _act(short, "no")


@app.command()
def done(short: Short) -> None:
    """Be done with it; it comes again when it is due next."""
    _act(short, "done")


@app.command()
def snooze(
    short: Short,
    until: Annotated[list[str], typer.Argument(help='10m, tomorrow, "friday 9".')],
) -> None:
    """Let it be said once more later; the reminder itself goes on as it is."""
    from bot.cli.client import at, connect

    path = at("/reminders/{}/snooze", short)
    show.told(connect().post(path, {"until": " ".join(until)}))


@app.command("stop")
@app.command()
def delete(short: Short) -> None:
    """Forget it."""
    from bot.cli.client import at, connect

    show.told(connect().delete(at("/reminders/{}", short)))


def _act(short: str, word: str) -> None:
    from bot.cli.client import at, connect

    show.told(connect().post(at(f"/reminders/{{}}/{word}", short)))


def _save(send: Callable[[dict[str, Any]], Any], *, yes: bool, json: bool) -> None:
    """Save it; a person at a terminal sees what was understood first, and is asked."""
    if yes or json or not sys.stdin.isatty():
        _print(send({}), json=json)
        return
    tried = send({"dry_run": True})
    show.say(f"Understood: {tried['when']} ({tried['zone']})")
    _details(tried)
    if not typer.confirm("Save this?"):
        raise Refused(NOT_SAVED)
    _headline(send({}))


def _print(one: dict[str, Any], *, json: bool) -> None:
    if json:
        show.as_json(one)
        return
    _headline(one)
    _details(one)


def _headline(one: dict[str, Any]) -> None:
    show.say(f"{one['reminder']} {_state(one)}: {one['when']} ({one['zone']})")


def _details(one: dict[str, Any]) -> None:
    show.say(f"What: {one['what']}")
    if one["answer"]:
        changed = ", and posted only if something changed" if one["only_changed"] else ""
        show.say(f"Answered by an agent each time{changed}")
    if one["quiet"]:
        show.say(f"Quiet: {one['quiet']}")
    if one["time_assumed"]:
        show.say("No time of day was said, so 9:00 was taken.")
    if one["to"]:
        show.say(f"For: {', '.join(one['to'])}")
    for at in one["next"]:
        show.say(f"Due: {_moment(at, one)}")
    if one["session"]:
        show.say(f"Set in: {one['session']}")


def _state(one: dict[str, Any]) -> str:
    return "waits for a yes" if one["why"] == "unconfirmed" else str(one["state"])


def _moment(at: str, one: dict[str, Any]) -> str:
    """In the zone of the reminder, as its words are."""
    zone = zone_of(one["zone"]) if is_zone(one["zone"]) else UTC
    return f"{datetime.fromisoformat(at).astimezone(zone):%a %Y-%m-%d %H:%M}"
