"""The tables of moves: complete, and without a state that nothing leads to."""

import pytest

from bot.store import states
from tests.support.moves import MOVES
from vmpool.machine import MachineState

KINDS = {
    "session": states.SessionState,
    "prompt": states.PromptState,
    "turn": states.TurnState,
    "question": states.QuestionState,
    "reply": states.ReplyState,
    "turn_grant": states.GrantState,
    "schedule": states.ScheduleState,
    "firing": states.FiringState,
    "automation": states.AutomationState,
    "run_target": states.TargetState,
    "machine": MachineState,
}

FINAL = {
    "session": {"deleting"},
    "prompt": {"done", "cancelled"},
    "turn": {"succeeded", "failed", "stopped", "timed_out", "interrupted", "budget"},
    "question": {"answered", "expired", "withdrawn"},
    "reply": set(),
    "turn_grant": {"revoked", "ended"},
    "schedule": set(),
    "firing": {"done", "skipped", "failed"},
    "automation": {"removed"},
    "run_target": set(),
    "machine": {"gone"},
}


@pytest.mark.parametrize("name", KINDS)
def test_every_state_has_a_row_in_the_table_of_moves(name):
    assert set(MOVES[name]) == set(KINDS[name])


@pytest.mark.parametrize("name", KINDS)
def test_only_final_states_have_no_way_out(name):
    assert {state.value for state, to in MOVES[name].items() if not to} == FINAL[name]


@pytest.mark.parametrize("name", KINDS)
def test_every_state_can_be_reached_from_the_first(name):
    kind, moves = KINDS[name], MOVES[name]
    reached = {next(iter(kind))}
    while True:
        further = reached | {to for state in reached for to in moves[state]}
        if further == reached:
            break
        reached = further
    assert reached == set(kind)
