"""`ona audit`: what happened, and whether the record of it is whole."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from bot.cli import show
from bot.cli.show import Json
from bot.errors import EXIT_FAILED, Refused

app = typer.Typer(help="Read, verify and export the audit.", rich_markup_mode=None)

Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="From then on: 24h, 7d, 2026-11-28, ….")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")]
Session = Annotated[str | None, typer.Option(help="Of this session.")]
Project = Annotated[str | None, typer.Option(help="Of this project.")]
Person = Annotated[str | None, typer.Option(help="By this person, by name or id.")]
Kind = Annotated[str | None, typer.Option(help="Of this kind, such as token or token.made.")]
COLUMNS = {
    "at": "at",
    "kind": "what",
    "who": "who",
    "surface": "from",
    "where": "where",
    "session": "session",
    "outcome": "outcome",
}
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@app.callback(invoke_without_command=True)
def audit(context: typer.Context, json: Json = False) -> None:
    """Read, verify and export the audit; alone it lists what happened in the last day."""
    if context.invoked_subcommand is None:
        list_audit(json=json)


@app.command("list")
def list_audit(
    *,
    since: Since = None,
    until: Until = None,
    session: Session = None,
    project: Project = None,
    person: Person = None,
    kind: Kind = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    json: Json = False,
) -> None:
    """List what happened, the newest first; the last day unless a time or session is named."""
    from bot.cli.client import connect

    asked = _asked(
        since=since, until=until, session=session, project=project, person=person, kind=kind
    )
    found = connect().get("/audit", limit=limit, **asked)
    if json:
        show.as_json(found)
        return
    rows = [{**row, "where": row["place"] or row["project"]} for row in found["events"]]
    show.table(rows, COLUMNS, empty=f"Nothing happened since {show.cell(found['since'])}.")


@app.command()
def export(
    *,
    since: Since = None,
    until: Until = None,
    session: Session = None,
    project: Project = None,
    person: Person = None,
    kind: Kind = None,
) -> None:
    """Print what happened as JSON lines, the oldest first."""
    from bot.cli.client import connect

    asked = _asked(
        since=since, until=until, session=session, project=project, person=person, kind=kind
    )
    with connect().lines("/audit/export", **asked) as lines:
        for line in lines:
            typer.echo(line)


@app.command()
def head(json: Json = False) -> None:
    """Print the newest link of the chain: keep it elsewhere, for `ona audit verify --head`."""
    from bot.cli.client import connect

    found = connect().get("/audit/head")
    if json:
        show.as_json(found)
    else:
        typer.echo(f"{found['number']}:{found['digest']}")


@app.command()
def verify(
    *,
    kept: Annotated[
        str | None, typer.Option("--head", metavar="HEAD", help="What `ona audit head` printed.")
    ] = None,
    json: Json = False,
) -> None:
    """Recompute the chain and name the first row that is not as it was; exits 1 if there is one."""
    from bot.cli.client import connect

    client, total, after = connect(), {"batches": 0, "rows": 0, "deleted": 0}, None
    while True:
        asked: dict[str, Any] = {} if after is None else {"after": after}
        found = client.get("/audit/verify", **asked, **({"head": kept} if kept else {}))
        total = {key: total[key] + found[key] for key in total}
        if found["problem"] or found["done"]:
            break
        after = found["through"]
        show.status(f"{total['rows']:,} rows are as they were; going on.")
    if json:
        show.as_json({**found, **total})
    elif found["problem"]:
        show.say(f"Not whole: {found['problem']}.")
    else:
        show.say(_whole(total, found))
    if found["problem"]:
        raise typer.Exit(EXIT_FAILED)


def _whole(total: dict[str, int], found: dict[str, Any]) -> str:
    said = f"Whole: {total['rows']:,} rows in {total['batches']:,} batches are as they were."
    if total["deleted"]:
        said += f" {total['deleted']:,} of them went with deleted sessions, or their project"
        said += " keeps them no longer."
    if found["unsealed"]:
        said += f" {found['unsealed']:,} newer rows wait to be sealed."
    return f"{said} The head is {found['through']}:{found['digest']}."


def _asked(*, since: str | None, until: str | None, **more: str | None) -> dict[str, Any]:
    asked = {
        "since": since and moment(since).isoformat(),
        "until": until and moment(until).isoformat(),
        **more,
    }
    return {key: value for key, value in asked.items() if value is not None}


def moment(said: str) -> datetime:
    """A time: so long ago (`24h`, `7d`), or a date or time in the reader's zone.

    :raises Refused: it is none
    """
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", said.strip())
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(said.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(
            f"{said[:40]} is no time", do="say 24h, 7d, 2026-11-28 or 2026-11-28T16:00"
        ) from None
