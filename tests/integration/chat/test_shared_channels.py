"""Which channels count as read by other organisations: those too of which Slack does not tell."""

import pytest

from adapters.chat.port import ChatError
from adapters.chat.slack import calls
from adapters.chat.slack.directory import Directory, Ourselves
from tests.fakes.slack import Bad, FakeSlack


@pytest.fixture
async def slack():
    async with FakeSlack() as slack:
        yield slack


@pytest.fixture
async def looking(slack):
    """A workspace, a channel of it, and what is asked about channels."""
    team = slack.workspace("acme")
    bot = slack.install(team)
    general = slack.channel(team, "general", slack.person(team, "ann"), bot.user)
    async with calls.open_session() as session:
        us = Ourselves(team=team.id, user=bot.user.id, name="ona")
        client = calls.client(bot.token, session, api=slack.api_url)
        yield team, general, Directory(client, us)


async def test_a_channel_is_shared_when_another_workspace_reads_it(slack, looking):
    team, general, directory = looking
    shared = slack.channel(team, "shared", shared_with=(slack.workspace("globex"),))
    shared.members.append(general.members[-1])
    assert not await directory.is_shared(general.id)
    assert await directory.is_shared(shared.id)


@pytest.mark.parametrize("refused", ["channel_not_found", "access_denied"])
async def test_a_channel_that_can_not_be_read_counts_as_shared(slack, looking, refused):
    _, general, directory = looking
    slack.behave("conversations.info", Bad(refused=refused))
    assert await directory.is_shared(general.id)


@pytest.mark.parametrize("bad", [Bad(status=503), Bad(refused="missing_scope")])
async def test_what_slack_does_not_tell_now_is_not_guessed(slack, looking, bad):
    _, general, directory = looking
    slack.behave("conversations.info", *[bad] * 5)
    with pytest.raises(ChatError):
        await directory.is_shared(general.id)
