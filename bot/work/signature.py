"""Who made a commit, as git is told; pure.

The author is the person who asked, by an address that leads to their account on the code host;
who commits is ona; the agent is a co-author.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.words.plain import settled
from bot.words.titles import made_of

SUBJECT_CHARACTERS_MAX = 72
NAME_CHARACTERS_MAX = 100
COMMITTER = "ona"
CO_AUTHORS: Mapping[str, tuple[str, str]] = {
    "claude-code": ("Claude Code", "noreply@anthropic.com"),
    "codex": ("Codex", "noreply@openai.com"),
    "opencode": ("OpenCode", "noreply@opencode.ai"),
}
"""By the names that sessions use; another agent has an address of ours."""


@dataclass(frozen=True, kw_only=True)
class ForgeAccount:
    """A person's account on a code host."""

    surface: str
    host: str
    id: str
    login: str


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who a commit is of."""

    name: str
    email: str


def author(
    person_id: object, name: str, account: ForgeAccount | None, *, email_domain: str
) -> Author:
    """The author of what a person asked for."""
    if account is None:
        email = f"{person_id}@{email_domain}"
    elif account.surface == "gitlab":
        email = f"{account.id}-{account.login}@users.noreply.{account.host}"
    elif account.host == "github.com":
        email = f"{account.id}+{account.login}@users.noreply.github.com"
    else:
        email = f"{account.login}@users.noreply.{account.host}"
    return Author(name=_name(name) or COMMITTER, email=_address(email))


def environment(by: Author, *, email_domain: str) -> Mapping[str, str]:
    """What makes each commit of a job one of `by`, whatever is configured in the machine."""
    return {
        "GIT_AUTHOR_NAME": by.name,
        "GIT_AUTHOR_EMAIL": by.email,
        "GIT_COMMITTER_NAME": COMMITTER,
        "GIT_COMMITTER_EMAIL": f"{COMMITTER}@{email_domain}",
    }


def message(prompt: str, *, title: str, agent: str, short: str, email_domain: str) -> str:
    """The message of the commit that ona makes of what a turn left."""
    subject = (made_of(prompt) or title or f"Work of session {short}")[:SUBJECT_CHARACTERS_MAX]
    name, email = CO_AUTHORS.get(agent, (_name(agent), f"{_address(agent)}@{email_domain}"))
    return f"{subject}\n\nOna-Session: {short}\nCo-authored-by: {name} <{email}>\n"


def _name(text: str) -> str:
    """What can stand before an address."""
    line = " ".join(settled(text).split())
    return re.sub(r"[<>]", "", line)[:NAME_CHARACTERS_MAX].strip(" .,;:")


def _address(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+_@:-]", "-", text)
