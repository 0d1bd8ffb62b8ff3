"""Every pair of states, allowed and forbidden, of every machine of states."""

import itertools

import pytest

from bot.store import states
from vmpool.machine import MACHINE_MOVES, MachineState

TABLES = {
    "session": (states.SessionState, states.SESSION_MOVES),
    "prompt": (states.PromptState, states.PROMPT_MOVES),
    "turn": (states.TurnState, states.TURN_MOVES),
    "question": (states.QuestionState, states.QUESTION_MOVES),
    "reply": (states.ReplyState, states.REPLY_MOVES),
    "machine": (MachineState, MACHINE_MOVES),
}

FINAL = {
    "session": {"closed"},
    "prompt": {"done", "cancelled"},
    "turn": {"succeeded", "failed", "stopped", "timed_out", "interrupted"},
    "question": {"answered", "expired", "withdrawn"},
    "reply": set(),
    "machine": {"gone"},
}


@pytest.mark.parametrize("name", TABLES)
def test_every_state_has_a_row_in_the_table_of_moves(name):
    kind, moves = TABLES[name]
    assert set(moves) == set(kind)


@pytest.mark.parametrize("name", TABLES)
def test_every_pair_is_either_allowed_or_refused_by_name(name):
    kind, moves = TABLES[name]
    allowed = 0
    for current, to in itertools.product(kind, kind):
        if to in moves[current]:
            assert states.check_move(moves, current, to) is to
            allowed += 1
        else:
            with pytest.raises(states.IllegalMove, match=f"{current} → {to}"):
                states.check_move(moves, current, to)
    assert allowed == sum(len(row) for row in moves.values())


@pytest.mark.parametrize("name", TABLES)
def test_only_final_states_have_no_way_out(name):
    _, moves = TABLES[name]
    assert {state.value for state, to in moves.items() if not to} == FINAL[name]


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_reached_from_the_first(name):
    kind, moves = TABLES[name]
    reached = {next(iter(kind))}
    while True:
        further = reached | {to for state in reached for to in moves[state]}
        if further == reached:
            break
        reached = further
    assert reached == set(kind)
