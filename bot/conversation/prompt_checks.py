"""What is settled before a prompt is queued: how long one may be, and what its session keeps.

Options that say otherwise than a session was opened with open another one.
"""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import text

from bot.conversation.choosing import is_named
from bot.errors import Refused, TooLarge
from bot.govern.agents import Agents
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.catalogue import grouped

_KEPT = text(
    """
    SELECT project.name AS project, project.repository_url AS repo, session.agent, session.model,
           session.base_branch AS branch
      FROM session JOIN project ON project.id = session.project_id WHERE session.id = :session
    """
)


def check_length(said: str, bytes_max: int, *, kept: str) -> None:
    """:raises TooLarge: `said` has more bytes of UTF-8; `kept` is what that changed"""
    size = len(said.encode("utf-8", errors="replace"))
    if size > bytes_max:
        raise TooLarge(
            _(
                "the message has {size} bytes and at most {most} fit",
                size=grouped(size),
                most=grouped(bytes_max),
            ),
            kept=kept,
            do=_("put the long part into a file of the repository and name it"),
        )


async def check_options(
    tx: Transaction, session_id: UUID, short: str, options: Mapping[str, str], agents: Agents
) -> None:
    """What a prompt says in front of its text fits the session that it goes to.

    :raises Refused: it asks for another project, repository, branch, agent or model
    """
    if not options.keys() - {"size"}:
        return
    if agent := options.get("agent"):
        agents.check(agent)
    kept = (await tx.execute(_KEPT, {"session": session_id})).mappings().one()
    other = otherwise(options, {name: str(value or "") for name, value in kept.items()})
    if other:
        name, value = other[0]
        wanted = f"{name}={value}"
        raise Refused(
            _(
                "session {session} was opened with {option}, not with {other}",
                session=short,
                option=_said(name, kept[name]),
                other=wanted,
            ),
            kept=_("nothing was queued"),
            do=_("`new: {other} …` opens another session", other=wanted),
        )


def otherwise(options: Mapping[str, str], kept: Mapping[str, str]) -> list[tuple[str, str]]:
    """The options that say something else than what a session was opened with; pure."""
    return [
        (name, value)
        for name, value in options.items()
        if name in kept and not _same(name, value, kept[name])
    ]


def _same(name: str, value: str, kept: str) -> bool:
    return is_named(kept, value) if name == "repo" else value == kept


def _said(name: str, value: str | None) -> str:
    return f"{name}={value}" if value else _("no {name} named", name=name)
