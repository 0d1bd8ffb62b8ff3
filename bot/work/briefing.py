"""What an agent is handed for a turn: the prompt's text, and what came with it.

quoted messages ─┬─▶ a file in the machine, named by the environment   (the text is a program)
files ─▶ machine ┴─▶ below the text, quoted                            (the agent reads)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.agent.port import CONTEXT, Attachment
from adapters.chat.incoming import Attached
from bot.store.database import Database
from bot.work import attachments, handing_over, quoting, undo_rows
from bot.work.lease import OpenTurn
from bot.work.materials import Materials
from bot.work.undo import for_agent
from bot.work.workplace import BesideAt

CONTEXT_FILE = "context.md"
NAME_LENGTH_MAX = 80
ANSWER = (
    "(From ona: write your answer in the language of the prompt above, unless it asks for another;"
    " that of code, comments and commits follows the repository.)"
)
"""Below a prompt, for agents that read; the sentences of ours go by people's settings instead."""
_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What an agent is told."""

    text: str
    attachments: tuple[Attachment, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


async def brief(
    database: Database,
    materials: Materials,
    turn: OpenTurn,
    *,
    agent: str,
    reads: bool,
    beside: Sequence[BesideAt] = (),
) -> Brief:
    """Put what came with the prompt into the machine, and say what the agent is told.

    :param agent: whom it is for
    :param reads: its text may have words below it
    :param beside: repositories that it has besides the one it begins in
    :raises ConnectionError: the way into the machine is lost
    :raises JobRefused: the machine has no room for it
    """
    files: list[tuple[Attached, str]] = []
    if turn.files:
        async with database.begin() as tx:
            came = await attachments.of_prompt(tx, turn.prompt_id)
        for number, one in enumerate(came, start=1):
            path = ""
            if not one.why:
                path = await materials.put(str(turn.id), named(number, one.name), one.data)
            files.append((one, path))
    if reads:
        async with database.begin() as tx:
            undone = for_agent(await undo_rows.taken_back(tx, turn.id))
            before = await handing_over.said_since(tx, turn.id, agent)
        quoted = (*before, *turn.quoted)
        return Brief(
            text=below(quoting.inlined(turn.text, quoted, files), undone, others(beside)),
            attachments=tuple(_attachment(one, path) for one, path in files if path),
        )
    if not (turn.quoted or files):
        return Brief(text=turn.text)
    page = quoting.page(turn.quoted, files).encode()
    path = await materials.put(str(turn.id), CONTEXT_FILE, page)
    return Brief(text=turn.text, environment={CONTEXT: path})


def _attachment(one: Attached, path: str) -> Attachment:
    return Attachment(name=one.name, path=path, media_type=one.media_type, data=one.data)


def below(text: str, *more: str) -> str:
    """What an agent reads, with what we ask of its answer below, and what else it must know."""
    return "\n\n".join((text.rstrip(), ANSWER, *(one for one in more if one)))


def others(beside: Sequence[BesideAt]) -> str:
    """What an agent is told of the repositories besides; empty: there are none."""
    if not beside:
        return ""
    listed = ", ".join(f"{one.name} in {one.directory}" for one in beside)
    return (
        f"(From ona: this session has other repositories too: {listed}. What you change there is"
        " committed, pushed and opened as a pull request of its own.)"
    )


def named(number: int, name: str) -> str:
    """What a file is called in the machine: no two alike, nothing in it that means anything."""
    return f"{number}-{_STRANGE.sub('_', name)[-NAME_LENGTH_MAX:]}"
