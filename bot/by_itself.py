"""What `ona serve` does without anybody prompting: schedules, reminders, runs of automations."""

from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from adapters.chat.port import ChatPort
from bot.automate import leaving
from bot.automate.reminders.firings import Firings
from bot.automate.runs.beginning import Beginning
from bot.automate.runs.running import Running
from bot.automate.triggers import after
from bot.automate.triggers.taking import Taking
from bot.conversation.adding import CheckRepository
from bot.conversation.automation_channels import AutomationChannels
from bot.conversation.due import Due
from bot.conversation.inbox import Inbox
from bot.conversation.run_places import RunPlaces
from bot.conversation.run_posting import RunPosts
from bot.conversation.run_ways import RunWays
from bot.govern.agents import agents_of
from bot.ground import Ground
from bot.store.database import FIRINGS, SCHEDULES, Database
from bot.store.ids import new_id
from bot.surfaces import Surfaces
from scheduler.chores import Chore, run_chores
from scheduler.clock import LEASE_SECONDS, Clock
from scheduler.leader import Leader

CHANNELS_SECONDS = 60.0
"""Between two looks for channels that automations name."""


def by_itself(
    base: Ground,
    surfaces: Surfaces,
    inbox: Inbox,
    beginning: Beginning,
    *,
    check_repository: CheckRepository,
) -> Sequence[Coroutine[Any, Any, None]]:
    """Everything of it, each until the process is to end."""
    database, listener, stop = base.database, base.listener, base.signals.stop
    due = Due(database, inbox, surfaces.ports)
    ways = _ways(base, surfaces, check_repository)
    return [
        _schedules(base).run(stop),
        Firings(database, due, listener=listener).run(stop),
        Taking(database, beginning, listener=listener).run(stop),
        Running(database, ways, surfaces.rights, listener=listener).run(stop),
        run_chores([*_channel_chores(database, surfaces.ports), _leaving(database, due)], stop),
    ]


def _ways(base: Ground, surfaces: Surfaces, check_repository: CheckRepository) -> RunWays:
    settings = base.settings
    return RunWays(
        base.database,
        surfaces.rights,
        agents_of(settings),
        check_repository=check_repository,
        posts=RunPosts(pages=settings.public_url or "", language=settings.language),
        places=RunPlaces(base.database, surfaces.ports),
        searches=surfaces.searches,
        endings=(after.ended,),
    )


def _schedules(base: Ground) -> Clock:
    """What writes down what is due, if this process leads."""
    leader = Leader(name="schedules", owner=base.owner, seconds=LEASE_SECONDS)
    database = base.database
    clock = Clock(
        database.begin, leader, new_id=new_id, on_fired=lambda: database.hint((FIRINGS, ""))
    )
    base.listener.on(SCHEDULES, lambda _: clock.look.set())
    return clock


def _leaving(database: Database, due: Due) -> Chore:
    """Pause what people set who are deactivated since."""
    run = partial(leaving.pause, database, due)
    return Chore(name="leaving", seconds=leaving.LOOK_SECONDS, run=run)


def _channel_chores(database: Database, ports: Mapping[str, ChatPort]) -> list[Chore]:
    """Find the channels that automations name; any process may, and surfaces are asked."""
    channels = AutomationChannels(database, ports)
    return [Chore(name="automation_channels", seconds=CHANNELS_SECONDS, run=channels.look)]
