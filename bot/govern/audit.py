"""The audit: who did what, where, with which outcome, as far as nothing else records it.

What happens in a turn (prompts, commands, changed files, questions and their answers) is in the
session's events, and what is posted is in the outbox: neither is written again here. What is
recorded here goes into the transaction of what it is about, so that neither is there alone.

No secret belongs into a body. Names of grants, ids and digests do.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from bot.govern.access import Standing
from bot.store.transaction import Transaction

Outcome = Literal["done", "failed", "refused", "allowed", "denied"]
WORD_CHARACTERS_MAX = 500
"""Of a name or a place; the rest is cut off."""
BODY_CHARACTERS_MAX = 20_000
"""Of a body as JSON."""

_ADD = text(
    """
    INSERT INTO audit_event (kind, person_id, who, surface, place, session_id, project_id, outcome,
                             body)
    SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:people AS uuid[]), CAST(:whos AS text[]),
                         CAST(:surfaces AS text[]), CAST(:places AS text[]),
                         CAST(:sessions AS uuid[]), CAST(:projects AS uuid[]),
                         CAST(:outcomes AS text[]), CAST(:bodies AS jsonb[]))
    """
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Who does something, and from where."""

    person_id: UUID | None = None
    who: str = ""
    """The person's name, or the part of ona that does it."""
    surface: str = ""
    """web, api, slack, gateway, clock …"""

    @classmethod
    def of(cls, standing: Standing, surface: str) -> "Source":
        """A person on a surface."""
        return cls(person_id=standing.person_id, who=standing.name, surface=surface)


HERE = Source(who="ona", surface="clock")
"""What ona does by itself."""


@dataclass(frozen=True, kw_only=True)
class Audited:
    """Something that happened."""

    kind: str
    """Such as `token.made`: a noun and what became of it."""
    by: Source
    place: str = ""
    """Where: a thread, a host, a destination."""
    session_id: UUID | None = None
    project_id: UUID | None = None
    outcome: Outcome = "done"
    body: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth knowing; JSON, and no secret."""


async def record(tx: Transaction, *events: Audited) -> None:
    """Append to the audit, in the transaction of what it is about."""
    if events:
        await tx.execute(_ADD, columns(events))


def columns(events: Sequence[Audited]) -> Mapping[str, Sequence[Any]]:
    """The parameters with which a statement takes them; words are bounded."""
    return {
        "kinds": [one.kind for one in events],
        "people": [one.by.person_id for one in events],
        "whos": [_bounded(one.by.who) for one in events],
        "surfaces": [_bounded(one.by.surface) for one in events],
        "places": [_bounded(one.place) for one in events],
        "sessions": [one.session_id for one in events],
        "projects": [one.project_id for one in events],
        "outcomes": [one.outcome for one in events],
        "bodies": [_json(one.body) for one in events],
    }


def _bounded(words: str) -> str:
    return _storable(words)[:WORD_CHARACTERS_MAX]


def _storable(words: str) -> str:
    """Without what PostgreSQL has no character for."""
    return words.replace("\x00", "\ufffd").encode(errors="replace").decode()


def _json(body: Mapping[str, Any]) -> str:
    said = json.dumps(_plain(body), allow_nan=False)
    if len(said) <= BODY_CHARACTERS_MAX:
        return said
    return json.dumps({"cut": True, "begins": said[: BODY_CHARACTERS_MAX // 2]})


def _plain(value: Any) -> Any:
    """The value as JSON that PostgreSQL takes."""
    if isinstance(value, Mapping):
        return {_storable(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _storable(str(value))
