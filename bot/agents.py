"""The agents of an installation, put together from its settings."""

from collections.abc import Mapping, Sequence

from adapters.agent.acp.harness import AcpAgent
from adapters.agent.acp.profiles import Profile, Provider, known
from adapters.agent.port import Agent
from adapters.agent.shell import ShellAgent
from bot.config import Settings
from bot.work.instructing import ToldAt
from bot.work.routes import model_base


def adapters_of(settings: Settings) -> Mapping[str, Agent]:
    """The adapters of `bot.govern.agents.Agents.names`, by name."""
    shell = ShellAgent()
    asks = settings.agents.asks
    spoken = {name: AcpAgent(profile, asks=asks) for name, profile in profiles(settings).items()}
    return {**spoken, shell.name: shell}


def profiles(settings: Settings) -> Mapping[str, Profile]:
    """How those are started that speak the protocol."""
    providers = [
        Provider(name=name, format=model.format, base=model_base(name))
        for name, model in settings.models.items()
    ]
    own = {
        name: Profile(
            name=name,
            argv=agent.argv,
            mode=None if settings.agents.asks else agent.mode,
            environment=agent.environment,
            model_variable=agent.model_variable,
            conversation=agent.conversation,
            instructions=agent.instructions,
            skills=agent.skills,
        )
        for name, agent in settings.agents.own.items()
    }
    return {**known(providers, asks=settings.agents.asks), **own}


def conversations(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Where agents keep what was said, as checkpoints have to know it."""
    return {name: profile.conversation for name, profile in profiles(settings).items()}


def told_at(settings: Settings) -> Mapping[str, ToldAt]:
    """Where agents look for instructions, by name, as far as they do."""
    return {
        name: ToldAt(text=profile.instructions, skills=profile.skills)
        for name, profile in profiles(settings).items()
        if profile.instructions or profile.skills
    }
