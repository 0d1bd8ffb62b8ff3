"""Questions of the agent to the people of its session.

The question is stored while its turn runs; the turn's watch sees it, and lets the turn wait: the
session is `waiting`, its lease is given back, the agent's requests to models are held at the
gateway and its machine may rest. The call itself waits on, for less than the minute after which MCP
clients give up; an agent that asks again by the same words gets the answer of the same question.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

from pydantic import Field
from sqlalchemy import text

from bot.errors import Refused
from bot.store.states import QuestionState
from bot.work import questions
from bot.work.asked import TOOL, Question
from bot.work.tools.calls import Desk, check_length
from bot.work.tools.tool import Arguments, Call, Tool
from vmpool.network.gateway.ports import NoTurn

WAIT_SECONDS = 45.0
"""Of one call: shorter than the shortest time limit of the clients that agents come with, 60 s."""
LOOK_SECONDS = 0.5
QUESTION_CHARACTERS_MAX = 1_500
CHOICES_MAX = 5
"""More have no buttons."""
CHOICE_CHARACTERS_MAX = 75
QUESTIONS_MAX = 10
"""Of one turn; asking for the answer again doesn't count."""
ASK_PEOPLE = (
    "Ask the people in this session's thread and wait for the answer; all your work waits"
    " meanwhile, perhaps for days. Ask only what you can neither find out nor decide. If it ends"
    " without an answer, call it again with the same arguments."
)

_LOOK = text(
    """
    SELECT question.state, question.answer, session.state = 'running' AS runs,
           turn.state <> 'running' AS over
      FROM question JOIN turn ON turn.id = question.turn_id
      JOIN session ON session.id = turn.session_id
     WHERE question.turn_id = :turn AND question.asked_key = :key
    """
)


class AskPeople(Arguments):
    """Arguments of `ask_people`."""

    question: str = Field(description="one question that can be answered in a few words")
    choices: list[str] = Field(
        default=[], description="up to 5 answers to press; none: people write their own"
    )


class Asking:
    """The tools of this group."""

    def __init__(self, desk: Desk, *, question_seconds: float, wait_seconds: float) -> None:
        """See `bot.work.tools.server.open_route`."""
        self._desk = desk
        self._question_seconds = question_seconds
        self._wait_seconds = wait_seconds

    def tools(self) -> list[Tool[Any]]:
        """As agents are told of them."""
        return [
            Tool(
                name="ask_people",
                about=ASK_PEOPLE,
                takes=AskPeople,
                run=self.ask_people,
                per_turn_max=QUESTIONS_MAX,
            )
        ]

    async def ask_people(self, call: Call, given: AskPeople) -> str:
        """Ask, unless it was asked before, and wait for an answer."""
        asked = check_length("question", given.question, QUESTION_CHARACTERS_MAX)
        choices = [check_length("choice", one, CHOICE_CHARACTERS_MAX) for one in given.choices]
        if len(choices) > CHOICES_MAX or len(set(choices)) != len(choices):
            raise Refused(f"there can be at most {CHOICES_MAX} choices, no two alike")
        key = key_of(asked, choices)
        if await self._look(call, key) is None:
            async with self._desk.begin(call) as entry:
                event = await questions.add(
                    entry.tx,
                    call.turn.session_id,
                    call.turn.turn_id,
                    Question(key=key, text=asked, choices=choices),
                    seconds=self._question_seconds,
                )
                entry.events += [event] if event is not None else []
                entry.facts["question"] = asked
        row = await self._waited(call, key)
        return said(row.state, row.answer)

    async def _look(self, call: Call, key: str) -> Any:
        """How the question stands: {state, answer, runs, over}; None: it was not asked.

        `runs`: the agent may go on; `over`: its turn has ended.
        """
        asked = {"turn": call.turn.turn_id, "key": key}
        return (await self._desk.database.run(_LOOK, asked)).one_or_none()

    async def _waited(self, call: Call, key: str) -> Any:
        """How it stands once it is settled and the agent may go on, or after a while.

        :raises NoTurn: the turn has ended
        """
        until = time.monotonic() + self._wait_seconds
        while True:
            row = await self._look(call, key)
            if row is None or row.over:
                raise NoTurn("The turn that asked has ended.")
            if time.monotonic() >= until or (row.runs and row.state != QuestionState.OPEN):
                return row
            await asyncio.sleep(LOOK_SECONDS)


def key_of(question: str, choices: Sequence[str]) -> str:
    """What a question is known by in its turn: asked again it is the same one."""
    words = json.dumps([question, *choices])
    return f"{TOOL}{hashlib.sha256(words.encode()).hexdigest()[:24]}"


def said(state: str, answer: str | None) -> str:
    """What the agent is told of a question; pure."""
    if state == QuestionState.OPEN:
        return "Nobody has answered yet. Call ask_people again with the same arguments."
    if state == QuestionState.ANSWERED:
        return f"The answer is: {answer}"
    return "Nobody answered in time. Decide yourself, and say in your answer what you decided."
