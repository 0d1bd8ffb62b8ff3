"""With which agents and models a prompt can be run instead: what the settings say of providers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.config import SERVED_BY, Settings

OF_ANY = "opencode"
"""The agent that speaks to the first provider, whatever its format; a model has to be named."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """An agent and the model that it uses."""

    provider: str
    """Whose model it is."""
    agent: str
    model: str | None = None
    """None: the agent's own default."""

    @property
    def called(self) -> str:
        """As people read it."""
        return f"{self.model} ({self.agent})" if self.model else self.agent

    def options(self, agent: str) -> str:
        """What in front of a prompt asks for it, in a session that has `agent`."""
        named = [] if self.model and self.agent == agent else [f"agent={self.agent}"]
        return " ".join([*named, *([f"model={self.model}"] if self.model else [])])


def offers_of(settings: Settings) -> Sequence[Offer]:
    """Those of an installation, by provider in the order of the settings.

    An agent reaches the first provider of its format alone, and only agents that machines hold
    count.
    """
    first: dict[str, str] = {}
    for name, model in settings.models.items():
        first.setdefault(model.format, name)
    return [
        offer
        for name, model in settings.models.items()
        for offer in _of_provider(settings, name, is_first=first[model.format] == name)
    ]


def _of_provider(settings: Settings, name: str, *, is_first: bool) -> Iterator[Offer]:
    model, installed = settings.models[name], settings.agents_installed
    if is_first and SERVED_BY[model.format] in installed:
        for offered in model.offered or (None,):
            yield Offer(provider=name, agent=SERVED_BY[model.format], model=offered)
    if name == next(iter(settings.models)) and OF_ANY in installed:
        for offered in model.offered:
            yield Offer(provider=name, agent=OF_ANY, model=offered)
