"""The grants that turns have for their project's own code host, though no policy declares them.

A declared grant for the same route takes the place of one of these.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from adapters.forge.gitlab.levels import DEVELOPER, REPORTER
from adapters.vault.port import Mode, Wanted
from bot.work.routes import PUSH, CodeHost, grant_route, path_of

OwnGrants = Callable[[Sequence[str]], Sequence[Wanted]]
"""By the addresses of a project's repositories, its own one first."""
READ_PERMISSIONS = ("contents", "pull_requests", "issues", "checks", "statuses", "actions")
"""What a turn reads of a repository at GitHub."""
BASIC = {"Authorization": "Basic {basic}"}
"""How git shows a token."""


def own_grants(hosts: Sequence[CodeHost], kinds: Collection[str]) -> OwnGrants:
    """What is granted at the hosts for which there is an issuer.

    :param kinds: of grant that can be issued; those of code hosts are called as their surfaces
    """

    def own(repositories: Sequence[str]) -> Sequence[Wanted]:
        return [
            _grant(host, path, writes=writes, own=number == 0)
            for number, url in enumerate(repositories)
            for host in hosts
            if host.surface in kinds and (path := path_of(url, host)) is not None
            for writes in (False, True)
        ]

    return own


def repository_of(wanted: Wanted) -> str:
    """The repository that one of these grants is for, as its code host calls it."""
    named = wanted.options.get("project") or wanted.options.get("repositories")
    return str(named[0] if isinstance(named, list | tuple) else named)


def _grant(host: CodeHost, path: str, *, writes: bool, own: bool) -> Wanted:
    at_gitlab = host.surface == "gitlab"
    # GitLab's API takes a project's token in no other header.
    headers = BASIC | ({"Private-Token": "{token}"} if at_gitlab and not writes else {})
    options = _gitlab(path, writes=writes) if at_gitlab else _github(path, writes=writes)
    return Wanted(
        name=f"{host.surface}-{PUSH if writes else 'read'}{'' if own else f'-{path}'}",
        kind=host.surface,
        mode=Mode.INJECTED,
        purpose="push the session's branches" if writes else "read a repository of the project",
        route=grant_route(host, path, own=own, writes=writes),
        headers=headers,
        options=options,
    )


def _github(path: str, *, writes: bool) -> Mapping[str, object]:
    read = dict.fromkeys(READ_PERMISSIONS, "read")
    return {"repositories": [path], "permissions": {"contents": "write"} if writes else read}


def _gitlab(path: str, *, writes: bool) -> Mapping[str, object]:
    if writes:
        return {"project": path, "scopes": ["write_repository"], "level": DEVELOPER}
    return {"project": path, "scopes": ["read_repository", "read_api"], "level": REPORTER}
