"""A turn's agent is told of our server; `ona work` names it."""

import json
import sys
from pathlib import Path

from adapters.agent.acp.harness import AcpAgent
from adapters.agent.acp.profiles import Profile
from adapters.agent.port import Server
from bot.config import Settings
from bot.gateway import gateway_open
from bot.ground import Ground
from bot.store.database import CONTROL, POLICY, Listener
from bot.supervisor import Signals
from tests.support.shift import Shift, until
from tests.support.tools import URL

PROGRAM = Path(__file__).parents[2] / "fakes" / "acp_agent.py"


async def test_the_agent_of_a_turn_is_told_of_our_server(town, places, tmp_path):
    environment = {"ACP_HOME": str(tmp_path)}
    profile = Profile(name="fake", argv=(sys.executable, str(PROGRAM)), environment=environment)
    ours = Server(name="ona", url=URL)
    await town.say("say hello")
    await town.rows("UPDATE session SET agent = 'fake' RETURNING id")
    async with Shift(town, places, "w", agents={"fake": AcpAgent(profile)}, servers=[ours]):
        ended = "SELECT state FROM turn WHERE state <> 'running'"
        await until(town, ended, bool)
    (said,) = [
        json.loads(line.removeprefix("servers "))
        for line in (tmp_path / "log").read_text().splitlines()
        if line.startswith("servers ")
    ]
    assert [(one["type"], one["name"], one["url"]) for one in said] == [("http", "ona", URL)]


async def test_ona_work_names_the_server_that_its_gateway_has(town, tmp_path):
    ground = Ground(
        settings=Settings(data_dir=tmp_path),
        database=town.database,
        listener=Listener(town.database.url, CONTROL, POLICY),
        signals=Signals(),
        owner="w",
    )
    async with gateway_open(ground, None) as way_out:
        assert [(one.name, one.url) for one in way_out.servers] == [("ona", URL)]
