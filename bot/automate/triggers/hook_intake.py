"""Takes what is delivered to the webhook of an automation.

address ─▶ trigger ─▶ secret, opened outside of a transaction ─▶ signature ─▶ token ─▶ filter
        ─▶ a trigger event, once for each key
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from bot.automate.definition import Webhook
from bot.automate.triggers import events, failing, hook_filter, taking_words
from bot.automate.triggers.events import Added, Event
from bot.automate.triggers.hook_checks import WINDOW_SECONDS, Delivery, Verified, read, verify
from bot.automate.triggers.hook_secrets import HookSecrets
from bot.store.database import Database
from bot.store.ids import new_id
from bot.store.transaction import Transaction

DELIVERIES_PER_MINUTE = 60
DELIVERIES_AT_ONCE = 60
"""Of one webhook, that is what may come in a moment after a quiet minute."""
BUCKET = "automation hook"
"""The `surface` of the buckets of webhooks."""
_TRIGGER = text(
    """
    SELECT trigger.id, trigger.options, trigger.sealed, automation.state, automation.name,
           automation.id AS automation_id
      FROM automation_trigger AS trigger
      JOIN automation ON automation.id = trigger.automation_id
      JOIN project ON project.id = automation.project_id
     WHERE trigger.short = :short AND trigger.kind = 'webhook'
       AND automation.state IN ('active', 'paused') AND project.removed_at IS NULL
    """
)
_TOKEN = text(
    """
    INSERT INTO bucket AS held (surface, method, tokens, filled_at)
    VALUES (:surface, :method, CAST(:most AS float) - 1, clock_timestamp())
    ON CONFLICT (surface, method) DO UPDATE
       SET tokens = least(:most, held.tokens + :per_second * greatest(0,
                    extract(epoch FROM clock_timestamp() - held.filled_at))) - 1,
           filled_at = clock_timestamp()
     WHERE least(:most, held.tokens + :per_second * greatest(0,
                 extract(epoch FROM clock_timestamp() - held.filled_at))) >= 1
    RETURNING tokens
    """
)
_REPEATED = text(
    """
    SELECT event.id, event.state, event.why, run.short AS run
      FROM trigger_event AS event LEFT JOIN run ON run.id = event.run_id
     WHERE event.trigger_id = :trigger
       AND event.created_at > now() - make_interval(secs => :seconds)
       AND event.facts ->> 'delivery' = :digest
     ORDER BY event.created_at DESC LIMIT 1
    """
)
_KEPT = text(
    """
    SELECT event.id, event.state, event.why, run.short AS run
      FROM trigger_event AS event LEFT JOIN run ON run.id = event.run_id
     WHERE event.trigger_id = :trigger AND event.key = :key
    """
)
_FORGET = text(
    """
    DELETE FROM bucket
     WHERE surface = :surface
       AND method NOT IN (SELECT short FROM automation_trigger WHERE kind = 'webhook')
    """
)

Became = Literal["accepted", "known", "filtered", "ping"]


class TooMany(Exception):
    """More is delivered than is taken; nothing was kept."""

    def __init__(self, retry_seconds: int, told: str) -> None:
        """`told` is a clause for who sent it."""
        super().__init__(told)
        self.retry_seconds, self.told = retry_seconds, told


class NoHook(Exception):
    """There is no such webhook."""


class Paused(Exception):
    """The automation is paused; nothing was kept."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of a delivery."""

    became: Became
    event_id: UUID | None = None
    state: str = ""
    """Of the event."""
    why: str = ""
    run: str | None = None
    """Short id of the run that came of it."""
    path: str = ""
    """Of the filter, at which no value counts."""


class HookIntake:
    """Takes deliveries; holds nothing between them but opened secrets."""

    def __init__(self, database: Database, secrets: HookSecrets) -> None:
        self._database = database
        self._secrets = secrets

    async def take(self, short: str, delivery: Delivery) -> Taken:
        """Keep a delivery until a run comes of it.

        :raises NoHook: there is none of that name
        :raises NotTaken: it is not signed as it should be, or nothing that can be read
        :raises Paused: nothing is taken now
        :raises TooMany: too much is delivered
        :raises OnaError: its secret can't be opened now
        """
        trigger = (await self._database.run(_TRIGGER, {"short": short[:100]})).one_or_none()
        if trigger is None:
            raise NoHook
        secret = await self._secrets.open(trigger.sealed)
        verified = verify(delivery, secret.get_secret_value())
        if trigger.state == "paused":
            raise Paused
        async with self._database.begin() as tx:
            # Its row is locked until the end: what is delivered twice at once comes one by one.
            await _token(tx, short)
            wanted = await _wanted(tx, trigger)
            if wanted is not None:
                return await _kept(tx, trigger, wanted, verified, delivery.body)
        raise Paused


async def forget_buckets(tx: Transaction) -> None:
    """Remove what is left of webhooks that are gone."""
    await tx.execute(_FORGET, {"surface": BUCKET})


async def _token(tx: Transaction, short: str) -> None:
    bucket = {"surface": BUCKET, "method": short}
    rate = {"most": float(DELIVERIES_AT_ONCE), "per_second": DELIVERIES_PER_MINUTE / 60}
    if (await tx.execute(_TOKEN, {**bucket, **rate})).first() is None:
        raise TooMany(
            max(1, 60 // DELIVERIES_PER_MINUTE),
            f"more than {DELIVERIES_PER_MINUTE} deliveries came within a minute",
        )


async def _wanted(tx: Transaction, trigger: Any) -> Mapping[str, Any] | None:
    """What the filter lets through; None: that can't be read any more, so it is paused."""
    try:
        return Webhook.model_validate(trigger.options).webhook.filter
    except ValueError:
        said = taking_words.unreadable(trigger.name)
        await failing.pause(tx, trigger.automation_id, "unreadable", said)
        return None


async def _kept(
    tx: Transaction, trigger: Any, wanted: Mapping[str, Any], verified: Verified, body: bytes
) -> Taken:
    said = read(body)
    if verified.kind == "ping":
        return Taken(became="ping")
    path = hook_filter.missed(wanted, said)
    if path:
        return Taken(became="filtered", path=path)
    earlier = await _repeated(tx, trigger.id, verified)
    if earlier is not None:
        return _became("known", earlier)
    key = f"key/{verified.key}" if verified.key else f"digest/{verified.digest}/{new_id()}"
    added = await events.add(tx, _event(trigger.id, key, verified, said))
    if added is Added.FULL:
        raise TooMany(3600, f"more than {events.EVENTS_PER_HOUR_MAX:,} came within an hour")
    row = (await tx.execute(_KEPT, {"trigger": trigger.id, "key": events.bounded_key(key)})).one()
    return _became("accepted" if added is Added.NEW else "known", row)


def _became(became: Became, row: Any) -> Taken:
    return Taken(became=became, event_id=row.id, state=row.state, why=row.why, run=row.run)


async def _repeated(tx: Transaction, trigger_id: UUID, verified: Verified) -> Any:
    """The event of the same delivery, as far as its key does not tell.

    A key is not signed. Of what was signed with its time, the same counts once under whatever key;
    of what was not, the same may well be sent again on purpose, if it has another key.
    """
    if verified.key and verified.way != "signed":
        return None
    # The time may be ahead of ours by the window, and lasts as long behind it.
    asked = {"trigger": trigger_id, "seconds": 2 * WINDOW_SECONDS, "digest": verified.digest}
    return (await tx.execute(_REPEATED, asked)).one_or_none()


def _event(trigger_id: UUID, key: str, verified: Verified, said: Mapping[str, Any]) -> Event:
    facts: dict[str, Any] = {"delivery": verified.digest, "body": said}
    if verified.kind:
        facts["event"] = verified.kind
    return Event(trigger_id=trigger_id, key=key, facts=facts)
