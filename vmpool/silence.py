"""Which hosts are waited for no more, decided from when they were heard; pure.

    here: it reports again and again ─▶ silent ─▶ its grace is over: given up ─▶ it reports: here

A host is silent as far as others are there to hear it: while the database was away, or nobody's
process ran, nobody could report. Silence counts from when some host, who reports still, began to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

REPORT_SECONDS = 10.0
"""How often a host says that it is here."""
BREAK_SECONDS = 3 * REPORT_SECONDS
"""Between two reports: by then it is silent."""
HOST_GRACE_SECONDS = 600
"""A host that is started again, or whose network comes back, is there by then; what its machines
remember is worth waiting for."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What is known of a host; all of it by the database's clock."""

    id: UUID
    seen_at: datetime
    """Its last report."""
    heard_since: datetime
    """The first of its reports between which there was no break until that."""


def is_silent(seen_at: datetime, now: datetime) -> bool:
    """Whether a host should have been heard again by now."""
    return now - seen_at > timedelta(seconds=BREAK_SECONDS)


def given_up(
    hosts: Iterable[Heard], now: datetime, grace_seconds: float
) -> Mapping[UUID, datetime]:
    """The hosts that have been silent for longer than their grace, with their last report."""
    hosts = list(hosts)
    listening = [host.heard_since for host in hosts if not is_silent(host.seen_at, now)]
    if not listening:
        return {}
    before = now - timedelta(seconds=grace_seconds)
    return {
        host.id: host.seen_at
        for host in hosts
        if is_silent(host.seen_at, now) and max(host.seen_at, min(listening)) < before
    }
