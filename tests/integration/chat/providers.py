"""Two providers of models behind a gateway, and agents in a machine that ask them."""

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import SecretStr

from adapters.agent.acp.harness import AcpAgent
from adapters.agent.acp.profiles import Profile
from adapters.agent.port import Agent
from bot.config import BudgetSettings, ModelSettings
from bot.govern.policy_text import Document
from bot.govern.spending import Spending
from bot.work.branches import BranchRows
from bot.work.metering import Metering, limits_of
from bot.work.routes import Routes, Working
from bot.work.running import Running
from tests.integration.conftest import DEMO, Town
from tests.support.gateway import LOOPBACK, Heard, Rig, rig, serving

PROGRAM = Path(__file__).parents[2] / "fakes" / "acp_agent.py"
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def answering(status: str, body: Mapping[str, object]) -> bytes:
    said = json.dumps(body)
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n"
    return f"{head}content-length: {len(said)}\r\n\r\n{said}".encode()


def says(words: str) -> bytes:
    """The answer of a model that works."""
    usage = {"input_tokens": 5, "output_tokens": 3}
    return answering("200 OK", {"content": [{"type": "text", "text": words}], "usage": usage})


@dataclass(kw_only=True)
class Providers:
    """`alpha`, which the agent `one` uses, and `beta`, which `two` does."""

    at: Rig
    town: Town
    routes: Routes
    agents: Mapping[str, Agent]
    heard: Mapping[str, Heard] = field(default_factory=dict)

    async def know(self) -> None:
        """The machine at the gateway is that of the only session."""
        session = await self.town.value("SELECT id FROM session")
        self.at.who = replace(self.at.who, session=session, project=DEMO)
        self.at.gateway.identify(self.at.who)
        working = Working(id=DEMO, repositories=["/srv/demo"], document=Document())
        self.at.routes = self.routes.of(working)


@asynccontextmanager
async def open_providers(
    town: Town, home: Path, *, alpha: bytes, beta: bytes
) -> AsyncIterator[Providers]:
    """Each answers the same to everything."""
    heard = {"alpha": Heard(), "beta": Heard()}
    async with (
        rig() as at,
        serving(heard["alpha"].server(alpha)) as one,
        serving(heard["beta"].server(beta)) as two,
    ):
        at.zone.hosts[LOOPBACK] = [LOOPBACK]
        models = {
            name: ModelSettings(
                format="anthropic", url=f"http://{LOOPBACK}:{port}", key=SecretStr("k")
            )
            for name, port in (("alpha", one), ("beta", two))
        }
        running = Running(town.database)
        spending = Spending(town.database, limits_of(BudgetSettings()))
        routes = Routes(
            running=running,
            meter=Metering(town.database, spending, models),
            branches=BranchRows(town.database),
            models=models,
            code_hosts=[],
            grants=None,
        )
        agents = {
            name: _agent(home, name, f"http://{LOOPBACK}:{at.web}/model/{provider}/v1/messages")
            for name, provider in (("one", "alpha"), ("two", "beta"))
        }
        yield Providers(at=at, town=town, routes=routes, agents=agents, heard=heard)


def _agent(home: Path, name: str, url: str) -> AcpAgent:
    own = home / name
    own.mkdir()
    environment = {"ACP_HOME": str(own), "ACP_MODEL_URL": url, "ACP_MODEL": f"{name}-default"}
    argv = (sys.executable, str(PROGRAM))
    return AcpAgent(
        Profile(name=name, argv=argv, environment=environment, model_variable="ACP_MODEL")
    )
