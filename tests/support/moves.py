"""Lets a database refuse every move of a state that its table does not list."""

import enum
import json
from collections.abc import Mapping
from typing import Any

from bot.store import states
from vmpool.machine import MACHINE_MOVES, TEMPLATE_MOVES

MOVES: Mapping[str, Mapping[Any, frozenset[Any]]] = {
    "session": states.SESSION_MOVES,
    "prompt": states.PROMPT_MOVES,
    "turn": states.TURN_MOVES,
    "question": states.QUESTION_MOVES,
    "reply": states.REPLY_MOVES,
    "charge": states.CHARGE_MOVES,
    "turn_grant": states.GRANT_MOVES,
    "schedule": states.SCHEDULE_MOVES,
    "firing": states.FIRING_MOVES,
    "automation": states.AUTOMATION_MOVES,
    "run_target": states.TARGET_MOVES,
    "machine": MACHINE_MOVES,
    "template": TEMPLATE_MOVES,
}
"""By the name of the table."""

_FUNCTION = """
    CREATE FUNCTION check_move() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT (CAST(TG_ARGV[0] AS jsonb) -> OLD.state) ? NEW.state THEN
            RAISE EXCEPTION '%: % → % is no move', TG_TABLE_NAME, OLD.state, NEW.state
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$;
"""


def statements() -> str:
    """What makes a database check the moves of every table."""
    return _FUNCTION + "".join(_trigger(table, moves) for table, moves in MOVES.items())


def _trigger(table: str, moves: Mapping[enum.StrEnum, frozenset[enum.StrEnum]]) -> str:
    listed = json.dumps({state.value: sorted(to) for state, to in moves.items()})
    return (
        f"CREATE TRIGGER check_move BEFORE UPDATE ON {table} FOR EACH ROW"
        f" WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_move('{listed}');"
    )
