"""What the outcome of an agent's turn keeps besides how it ended."""

from typing import Any

from bot.store.database import Database
from bot.store.states import TurnState
from bot.words.catalogue import together
from bot.work import ended_words, provider_faults
from bot.work.lease import Lease, OpenTurn
from bot.work.tools_ran import tests_of
from bot.work.turn_means import Means


async def tested(database: Database, lease: Lease, turn: OpenTurn) -> dict[str, Any]:
    """Which tests the agent ran and how they ended, where an outcome keeps it."""
    tests = await tests_of(database, lease.session_id, turn.id)
    return {"tests": tests} if tests else {}


async def provider_failed(
    means: Means, lease: Lease, turn: OpenTurn, state: TurnState, summary: str
) -> dict[str, Any]:
    """What an outcome says otherwise, because the provider of the turn's model failed.

    What the agent says of that itself is kept beside it: it may be long and raw.
    """
    agent = lease.agent
    is_agents = turn.kind != "command" and means.agents[agent].reads
    if state not in provider_faults.FAILURES or not is_agents:
        return {}
    last = await provider_faults.last_of(means.queue.database, turn.id)
    failed = provider_faults.decide(state, last)
    if failed is None:
        return {}
    instead = provider_faults.others(failed, means.offers, agent=agent, model=lease.model)
    said = ended_words.provider_failed(failed, instead, agent)
    if state is TurnState.TIMED_OUT:
        said = together(summary, said, by="; ")
    return {"summary": said, "reported": summary, **provider_faults.kept(failed, instead)}
