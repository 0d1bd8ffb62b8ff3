"""Agents by name: what people may ask for is what a host has."""

import pytest

from bot.errors import Refused
from bot.govern.agents import AGENTS
from bot.govern.projects import NewProject, check
from bot.host import agents


def test_a_host_has_every_agent_that_can_be_asked_for_and_no_other():
    assert set(agents()) == set(AGENTS)


def test_a_project_of_an_unknown_agent_is_refused():
    with pytest.raises(Refused, match="no agent nobody; known are: shell"):
        check(NewProject(name="demo", repository_url="/srv/demo", agent="nobody"), ())
