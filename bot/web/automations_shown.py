"""An automation as pages and the API show it; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from bot.automate.definition import Trigger
from bot.automate.differences import differences, source_of
from bot.automate.trigger_words import said

_TRIGGER: TypeAdapter[Trigger] = TypeAdapter(Trigger)


def shown(
    row: Mapping[str, Any],
    triggers: Sequence[Mapping[str, Any]],
    runs: Sequence[Any],
    dropped: Sequence[Any],
    *,
    pages: str,
) -> dict[str, Any]:
    """A row with its triggers, its last runs, and what made none.

    :param pages: the address of ours
    """
    proposed = row["proposed"] or {}
    return {
        "automation": row["short"],
        "name": row["name"],
        "project": row["project"],
        "path": row["path"],
        "commit": row["commit"],
        "state": row["state"],
        "why": row["why"],
        "description": (row["definition"] or proposed).get("description", ""),
        "source": source_of(row["definition"]),
        "digest": row["digest"],
        "proposed": source_of(proposed),
        "proposed_digest": row["proposed_digest"],
        "differences": [
            {"at": one.at, "before": one.before, "after": one.after, "told": one.told}
            for one in (differences(row["definition"], proposed) if proposed else ())
        ],
        "triggers": [_trigger(one, pages) for one in triggers],
        "when": [_said(one) for one in (triggers if row["digest"] else _proposed(proposed))],
        "next": row["next_at"] if row["state"] == "active" else None,
        "runs_as": row["runs_as"],
        "approved_by": row["approved_by"],
        "approved_at": row["approved_at"],
        "runs": [
            {"run": one.short, "began_at": one.created_at, "targets": one.targets} for one in runs
        ],
        "dropped": [{"at": one.created_at, "why": one.why} for one in dropped],
    }


def _proposed(proposed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The triggers that a proposal would have."""
    options = proposed.get("triggers", ())
    return [{"options": one, "kind": next(iter(one), "")} for one in options]


def _said(row: Mapping[str, Any]) -> str:
    try:
        return said(_TRIGGER.validate_python(row["options"]))
    except ValueError:
        return str(row["kind"])


def _trigger(row: Mapping[str, Any], pages: str) -> dict[str, Any]:
    is_hook = row["kind"] == "webhook"
    return {
        "trigger": row["short"],
        "kind": row["kind"],
        "said": _said(row),
        "next": row["due_at"] if row["schedule_state"] == "active" else None,
        "address": f"{pages}/hooks/automations/{row['short']}" if is_hook else "",
    }
