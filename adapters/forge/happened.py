"""What happens in repositories: bounds, keys and wishes that every forge has in common; pure.

    webhook ┐
            ├─▶ the forge's own words ─▶ `Happened`, with the same key either way
    poll    ┘

The key says what happened, not how we heard of it: what a webhook told is nothing new when a poll
finds it, and what no webhook told is found.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from adapters.chat.incoming import Happening

TITLE_LENGTH_MAX = 300
BODY_LENGTH_MAX = 4_000
"""Characters; more of what a stranger wrote is not kept."""
LABELS_MAX = 30
NAME_LENGTH_MAX = 200
"""Characters of a label, a check, a branch or a login."""
LOOK_BACK_SECONDS_MAX = 24 * 3600.0
"""What happened longer ago, while nobody asked, is not heard any more."""
NO_COMMIT = "0" * 40
"""How git hosts write that there is none, before a branch is made and after it is deleted."""
_BRANCHES = "refs/heads/"


def bounded(text: object, length_max: int) -> str:
    """A text as far as it is kept; what is none is empty."""
    return str(text or "").replace("\x00", "\ufffd")[:length_max]


def names(found: Iterable[object]) -> tuple[str, ...]:
    """Labels, as far as they are kept."""
    return tuple(bounded(one, NAME_LENGTH_MAX) for one in found)[:LABELS_MAX]


def branch_named(ref: str) -> str:
    """The branch of a ref; empty: it is none."""
    return ref.removeprefix(_BRANCHES) if ref.startswith(_BRANCHES) else ""


def pushed(branch: str, before: str | None, after: str) -> str:
    """Key of a push. Going back to an older commit is another one."""
    return f"push/{branch}/{(before or NO_COMMIT)[:12]}..{after}"


def of_pull(number: int, action: str, *which: str) -> str:
    """Key of what happened to a pull request."""
    return "/".join(("pull_request", str(number), action, *which))


def labelled(number: int, label: str, event: int) -> str:
    """Key of a label that an issue was given."""
    return f"issue/{number}/labelled/{label}/{event}"


def failed(commit: str, what: str, run: int) -> str:
    """Key of a failure: another run of the same is another one."""
    return f"ci/{commit}/{what}/{run}"


def is_wanted(wanted: Mapping[str, frozenset[str]], repository: str, kind: Happening | str) -> bool:
    """Whether somebody wants to hear of that there; letter case of names aside."""
    name = repository.casefold()
    return any(kind in kinds for one, kinds in wanted.items() if one.casefold() == name)


def answered_at(date: str | None) -> datetime:
    """When an answer was given, by its header `Date`; now, where that says no time.

    HTTP dates are of Greenwich, and a header that a proxy has doubled is read without a zone.
    """
    try:
        said = parsedate_to_datetime(date or "")
    except ValueError:
        return datetime.now(UTC)
    return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)


@dataclass(frozen=True, kw_only=True)
class Window:
    """From when on what happened in a repository is heard, by the forge's own clock."""

    since: datetime
    begun: datetime
    """When we began to ask there: nothing from before is heard."""

    @classmethod
    def read(cls, cursor: str | None, now: datetime, overlap: timedelta) -> "Window":
        """Of what a cursor says; one that says nothing begins at now."""
        try:
            until, begun = (datetime.fromisoformat(one) for one in (cursor or "").split())
            back = now - timedelta(seconds=LOOK_BACK_SECONDS_MAX)
            return cls(since=max(until - overlap, begun, back), begun=begun)
        except (ValueError, TypeError):
            return cls(since=now, begun=now)

    def until(self, now: datetime) -> str:
        """The cursor when all has been heard that happened until now."""
        return f"{now.isoformat()} {self.begun.isoformat()}"
