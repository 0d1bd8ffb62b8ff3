"""What the agent of a turn is asked, with what and where."""

from collections.abc import Mapping

from adapters.agent import port
from bot.work import briefing, conversations
from bot.work.lease import Lease, OpenTurn
from bot.work.turn_means import Means
from bot.work.workplace import Workplace


async def task_of(
    means: Means,
    lease: Lease,
    place: Workplace,
    turn: OpenTurn,
    agent: port.Agent,
    *,
    granted: Mapping[str, str],
) -> port.Task:
    """What it is asked, and what was said before where that agent looks for it.

    :param granted: variables by which its job finds the turn's grants
    """
    database = means.queue.database
    told = await briefing.brief(
        database,
        place.materials,
        turn,
        agent=agent.name,
        reads=agent.reads,
        beside=place.beside,
    )
    signed = await means.delivery.environment(turn) if means.delivery else {}
    return port.Task(
        id=str(turn.id),
        kind="command" if turn.kind == "command" else "text",
        text=told.text,
        attachments=told.attachments,
        directory=place.directory,
        model=lease.model,
        conversation=await conversations.earlier(database, lease.session_id, turn.id, agent.name),
        environment={
            "ONA_SESSION": lease.short,
            "ONA_TURN": str(turn.id),
            **place.environment,
            **signed,
            **told.environment,
            **granted,
        },
        servers=means.servers,
        output_bytes_max=means.limits.output_bytes_max,
    )
