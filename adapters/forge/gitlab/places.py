"""Addresses of GitLab's conversations; pure.

    group/name!12                    a merge request
    group/name#12                    an issue
    group/name!12/d6a9c…             a discussion on it
    group/name#12/internal           the same between those who may read internal notes
    group/name!12/d6a9c…/internal

What is internal has an address of its own, and so a session of its own: nothing that was said there
is ever answered where everybody reads.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

from adapters.chat.port import Rejected

Kind = Literal["merge_requests", "issues"]
"""As the REST API calls them in its paths."""

_SIGNS: dict[Kind, str] = {"merge_requests": "!", "issues": "#"}
_KINDS: dict[str, Kind] = {sign: kind for kind, sign in _SIGNS.items()}
_PLACE = re.compile(
    r"(?P<project>[\w.][\w.-]*(?:/[\w.][\w.-]*)+)(?P<sign>[!#])(?P<iid>[1-9]\d{0,17})"
    r"(?:/d(?P<discussion>[0-9a-f]{1,64}))?(?P<internal>/internal)?"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A merge request or an issue, or a discussion on it."""

    project: str
    kind: Kind
    iid: int
    discussion: str = ""
    internal: bool = False

    @classmethod
    def read(cls, place: str) -> "Place":
        """:raises Rejected: it is no place of GitLab"""
        found = _PLACE.fullmatch(place)
        if found is None:
            raise Rejected(f"{place!r} is no conversation of GitLab")
        return cls(
            project=found["project"],
            kind=_KINDS[found["sign"]],
            iid=int(found["iid"]),
            discussion=found["discussion"] or "",
            internal=found["internal"] is not None,
        )

    def __str__(self) -> str:
        discussion = f"/d{self.discussion}" if self.discussion else ""
        internal = "/internal" if self.internal else ""
        return f"{self.project}{_SIGNS[self.kind]}{self.iid}{discussion}{internal}"

    @property
    def whole(self) -> "Place":
        """What its discussion is a part of."""
        return replace(self, discussion="")

    @property
    def path(self) -> str:
        """Of the merge request or issue in the REST API."""
        return f"{project_path(self.project)}/{self.kind}/{self.iid}"


def project_path(project: str) -> str:
    """Path of a project in the REST API, by its name."""
    return f"/projects/{quote(project, safe='')}"
