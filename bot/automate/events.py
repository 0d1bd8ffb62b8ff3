"""Events that triggers are about: rows, each thing one, however often we hear of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.store.ids import new_id
from bot.store.transaction import Transaction

_PUT = text(
    """
    INSERT INTO trigger_event (id, trigger_id, key, about, facts, repository, act_at)
    VALUES (:id, :trigger, :key, :about, CAST(:facts AS jsonb), :repository,
            clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (trigger_id, key) DO NOTHING
    RETURNING id
    """
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened and that a trigger is about."""

    trigger_id: UUID
    key: str
    """Unique within the trigger."""
    about: str = ""
    """What events are coalesced by; empty: by nothing."""
    facts: Mapping[str, Any]
    """As JSON; untrusted."""
    repository: str = ""
    """Address of the repository it happened in; empty: none."""
    act_after_seconds: float = 0.0


async def put(tx: Transaction, event: Event) -> bool:
    """Note that something happened; False: that is known already."""
    values = {
        "id": new_id(),
        "trigger": event.trigger_id,
        "key": event.key,
        "about": event.about,
        "facts": json.dumps(event.facts),
        "repository": event.repository,
        "seconds": event.act_after_seconds,
    }
    return (await tx.execute(_PUT, values)).one_or_none() is not None
