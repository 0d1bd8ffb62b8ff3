"""`ona ask`: say something, and see what comes of it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import show
from bot.cli.show import Json
from bot.errors import EXIT_DONE, EXIT_FAILED, Refused
from bot.words.places import here

if TYPE_CHECKING:
    from bot.cli.client import Client
    from bot.cli.following import Watch

EXIT_LEFT = 130
"""Ctrl-C: the turn goes on without us."""


def ask(
    text: Annotated[
        list[str], typer.Argument(metavar="TEXT", help="What to do; `-` reads it from stdin.")
    ],
    *,
    new: Annotated[bool, typer.Option("--new", help="Open a new session.")] = False,
    session: Annotated[
        str | None, typer.Option("--session", "-s", help="Say it in this session.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Project of a new session.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Print only the reply, when the turn has ended.")
    ] = False,
    json: Json = False,
) -> None:
    """Ask for something and follow it; Ctrl-C leaves it running.

    Goes on with the session of this directory unless --new or --session says otherwise. A new one
    is about the project that is named, else about the one that this is a checkout of. `!command`
    runs a command in the session's machine. Exits with 0 if the turn succeeded, else with 1.
    """
    from bot.cli.checkout import addresses
    from bot.cli.client import connect
    from bot.store.ids import new_id

    if new and session:
        raise Refused("--new and --session exclude each other", do="give one of them")
    said = sys.stdin.read() if text == ["-"] else " ".join(text)
    client = connect()
    body: dict[str, Any] = {
        "text": said,
        "new": new,
        "session": session,
        "project": project,
        "thread": here(Path.cwd(), project),
        "checkout": [] if project or session else addresses(Path.cwd()),
        "surface": "terminal",
    }
    try:
        accepted = client.post("/prompts", body, key=str(new_id()))
    except KeyboardInterrupt:
        show.status("\nNo answer came yet: it may be accepted or not; look at `ona sessions`.")
        raise typer.Exit(EXIT_LEFT) from None
    if accepted["verdict"] == "command":
        _command(accepted, as_json=json)
        raise typer.Exit(EXIT_DONE)
    show.status(f"{accepted['session']}: {accepted['text']}")
    raise typer.Exit(follow(client, accepted, quiet=wait or json, as_json=json))


def _command(accepted: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show.as_json(
            {
                "session": accepted["session"],
                "turn": None,
                "outcome": "done",
                "reply": accepted["text"],
                "seconds": None,
            }
        )
    else:
        show.told(accepted)


def follow(
    client: "Client", accepted: dict[str, Any], *, quiet: bool = False, as_json: bool = False
) -> int:
    """Follow an accepted prompt to its outcome; the exit code.

    :param quiet: print only the reply, at the end
    """
    from bot.cli.following import Printer, Watch, events

    session = accepted["session"]
    watch = Watch(prompt=accepted["prompt"])
    printer = Printer()
    try:
        for event in events(client, session, accepted["event"]):
            concerns = watch.take(event)
            if concerns and not quiet:
                printer.show(event)
            if event["kind"] == "question" and concerns:
                show.status(f"Answer with: ona ask -s {session} ANSWER")
            if watch.outcome is not None:
                break
    except KeyboardInterrupt:
        show.status(
            f"\nIt goes on. Follow it: ona sessions follow {session} · "
            f"stop it: ona sessions stop {session}"
        )
        return EXIT_LEFT
    if quiet:
        _print_end(session, watch, as_json=as_json)
    return EXIT_DONE if watch.outcome == "succeeded" else EXIT_FAILED


def _print_end(session: str, watch: "Watch", *, as_json: bool) -> None:
    if as_json:
        show.as_json(
            {
                "session": session,
                "turn": watch.turn,
                "outcome": watch.outcome,
                "reply": watch.reply or "\n".join(watch.notes),
                "seconds": watch.seconds,
            }
        )
        return
    if watch.reply:
        typer.echo(watch.reply)
    for note in watch.notes:
        show.status(note)
    if watch.outcome != "succeeded":
        show.status(f"{watch.outcome}: {watch.summary}")
