"""Which project a new session works on: said, linked, set, the only one, or asked for; pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.errors import NotFound, WhichProject
from bot.govern.repositories import address, is_same
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _

_LINK = re.compile(r"(?:https?://|git@)([\w.-]+(?::\d+)?)[/:]([\w.~-]+(?:/[\w.~-]+)+)")

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A project, and why it is this one."""

    project: Row
    why: str
    others: int
    """How many projects it could have been instead."""
    pointed_at: bool
    """By its name or a link, of many."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is known of the project that a message means."""

    name: str | None = None
    """Said by name: an option, or where it was said."""
    repository: str | None = None
    """Said as `repo=`."""
    home: str = ""
    """URL of the repository in whose conversation it was said: only its projects can be meant."""
    checkout: Sequence[str] = ()
    """Addresses of the repository in whose checkout it was said."""
    text: str = ""
    """Its words, with perhaps a link to a repository, a pull request or an issue."""
    channel: str | None = None
    """Name of the project that is set for the channel."""


def choose(projects: Sequence[Row], wish: Wish, *, told: Sequence[Row] | None = None) -> Chosen:
    """The project that is meant.

    :param told: those that an error names; None: all that could be meant
    :raises NotFound: there is none, or none of that name
    :raises WhichProject: it could be several
    """
    if wish.home:
        projects = _at_home(projects, wish.home)
    if not projects:
        raise NotFound(_("there is no project yet"), do=_("add one with `ona projects add`"))
    for fitting, why in _ways(projects, wish):
        if len(fitting) == 1:
            return Chosen(
                project=fitting[0],
                why=_(why),
                others=len(projects) - 1,
                pointed_at=why in _POINTING,
            )
        if not fitting and why in _SAID:
            known = _names(projects if told is None else told)
            wanted = wish.name or wish.repository
            raise NotFound(
                _("there is no project {project}", project=wanted),
                do=_("known are: {names}", names=known) if known else "",
            )
    names = _names(projects if told is None else told)
    raise WhichProject(
        _("this could be several projects"), do=_("say project=NAME, one of: {names}", names=names)
    )


NAMED = N_("you named it")
NAMED_REPOSITORY = N_("you named its repository")
LINKED = N_("you linked to it")
CHECKED_OUT = N_("you are in a checkout of it")
SET = N_("it is set for this channel")
ONLY = N_("it is the only one")
_SAID = frozenset({NAMED, NAMED_REPOSITORY})
_POINTING = _SAID | {LINKED}


def _names(projects: Sequence[Row]) -> str:
    return ", ".join(project["name"] for project in projects)


def _ways(projects: Sequence[Row], wish: Wish) -> Sequence[tuple[list[Row], str]]:
    """What fits, by each way in which a project can be meant, the strongest first."""
    ways = []
    if wish.name is not None:
        ways.append(([one for one in projects if one["name"] == wish.name], NAMED))
    elif wish.repository is not None:
        fitting = [one for one in projects if is_named(one["repository_url"], wish.repository)]
        ways.append((fitting, NAMED_REPOSITORY))
    else:
        ways.append((linked(projects, wish.text), LINKED))
        ways.append((_checked_out(projects, wish.checkout), CHECKED_OUT))
        ways.append(([one for one in projects if one["name"] == wish.channel], SET))
        ways.append((list(projects), ONLY))
    return ways


def is_named(url: str, repository: str) -> bool:
    """Whether the repository at `url` is meant by `repository`, the end of its address."""
    return _path(url).endswith(repository.removesuffix(".git").rstrip("/"))


def _at_home(projects: Sequence[Row], home: str) -> list[Row]:
    """The projects of one repository; others are not even named. :raises NotFound: none"""
    found = [one for one in projects if address(one["repository_url"]) == address(home)]
    if not found:
        raise NotFound(
            _("there is no project of this repository"), do=_("add one with `ona projects add`")
        )
    return found


def _checked_out(projects: Sequence[Row], checkout: Sequence[str]) -> list[Row]:
    return [
        one for one in projects if any(is_same(one["repository_url"], where) for where in checkout)
    ]


def linked(projects: Sequence[Row], text: str) -> list[Row]:
    """The projects to whose repositories `text` has links, each once."""
    links = [f"{host}/{path}/".lower() for host, path in _LINK.findall(text)]
    found = []
    for project in projects:
        own = address(project["repository_url"])
        if own and any(link.startswith((f"{own}/", f"{own}.git/")) for link in links):
            found.append(project)
    return found


def _path(address: str) -> str:
    return address.removesuffix(".git").rstrip("/")
