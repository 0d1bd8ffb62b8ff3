"""Whether a token is good for what we do on a GitLab, found out by using it."""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from adapters.chat.port import ChatError, Deadline, Gone, Rejected
from adapters.forge.examining import EXAMINE_SECONDS, Examined
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.levels import DEVELOPER
from adapters.forge.gitlab.places import project_path
from adapters.forge.port import NotLetIn

SCOPE = "api"
"""The one scope: everything that we do is read and written by the REST API."""
ENDS_SOON = timedelta(days=14)


async def examine(client: Client, *, repositories: Collection[str] = ()) -> Examined:
    """Ask who we are, what the token may do, and what we may in the repositories of projects."""
    deadline = Deadline.after(EXAMINE_SECONDS)
    try:
        us = await client.ourselves(deadline)
        lacking, remarks = await _token(client, deadline)
        missing, unseen = await _at_repositories(client, us.id, repositories, deadline)
    except NotLetIn as error:
        return Examined(wrong=f"the token is wrong, or has ended: {error}")
    except Gone as error:
        return Examined(wrong=f"there is no GitLab at {client.url}: {error}")
    except Rejected as error:
        return Examined(wrong=f"the token lacks the scope `{SCOPE}`: {error}")
    except ChatError as error:
        return Examined(wrong=f"{error} (at {client.url})", unreached=True)
    except (KeyError, TypeError, ValueError) as error:
        return Examined(wrong=f"what answers is no GitLab: {type(error).__name__}")
    return Examined(name=us.username, missing=(*lacking, *missing), unseen=unseen, remarks=remarks)


async def _token(client: Client, deadline: Deadline) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The scope that it lacks, and when it ends, where that is soon."""
    try:
        token = (await client.get("/personal_access_tokens/self", deadline)).data
    except Gone:
        # Before GitLab 15.5, which does not say.
        return (), ()
    lacking = () if SCOPE in token["scopes"] else (f"the scope `{SCOPE}`",)
    return lacking, _ending(token)


def _ending(token: Mapping[str, Any]) -> tuple[str, ...]:
    ends = token.get("expires_at")
    if not ends or date.fromisoformat(ends) > (datetime.now(UTC) + ENDS_SOON).date():
        return ()
    return (f"the token ends on {ends}",)


async def _at_repositories(
    client: Client, our_id: int, repositories: Collection[str], deadline: Deadline
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lacking, unseen = [], []
    for repository in repositories:
        path = project_path(repository)
        try:
            await client.get(path, deadline)
        except Gone:
            unseen.append(repository)
            continue
        try:
            member = (await client.get(f"{path}/members/all/{our_id}", deadline)).data
        except Gone:
            member = {}
        if int(member.get("access_level", 0)) < DEVELOPER:
            lacking.append(f"the role Developer in {repository}")
    return tuple(lacking), tuple(unseen)
