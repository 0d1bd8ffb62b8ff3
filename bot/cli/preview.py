"""`ona sessions preview`: an address for what listens in a session's machine."""

from typing import Annotated

import typer

from bot.cli import show
from bot.cli.show import Json

Short = Annotated[str, typer.Argument(metavar="SESSION", help="Such as s-7f3kd.")]
COLUMNS = {
    "id": "preview",
    "port": "port",
    "creator": "made by",
    "expires_at": "until",
    "url": "address",
}


def preview(
    session: Short,
    port: Annotated[int, typer.Argument(min=1, max=65535, help="In the machine.")],
    *,
    hours: Annotated[
        float | None, typer.Option(help="Life of the address; default: web.preview_hours.")
    ] = None,
    json: Json = False,
) -> None:
    """Give a port of a session's machine an address, for who may write to the project."""
    from bot.cli.client import at, connect

    wanted = {"port": port, **({} if hours is None else {"hours": hours})}
    made = connect().post(at("/sessions/{}/previews", session), wanted)
    if json:
        show.as_json(made)
    else:
        show.say(made["url"])


def previews(
    session: Short,
    *,
    revoke: Annotated[str | None, typer.Option(metavar="PREVIEW", help="End this one.")] = None,
    json: Json = False,
) -> None:
    """List the previews of a session, or end one."""
    from bot.cli.client import at, connect

    client = connect()
    if revoke is not None:
        show.say(client.delete(at("/sessions/{}/previews/{}", session, revoke))["text"])
        return
    found = client.get(at("/sessions/{}/previews", session))
    if json:
        show.as_json(found)
        return
    show.table(
        found["previews"],
        COLUMNS,
        empty=f"No preview: `ona sessions preview {session} PORT` makes one.",
    )
