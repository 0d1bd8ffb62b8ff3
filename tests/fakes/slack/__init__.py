"""A Slack that speaks the real protocols, with people in it.

    async with FakeSlack() as slack:
        team = slack.workspace("acme")
        bot = slack.install(team)
        ann = slack.person(team, "ann")
        general = slack.channel(team, "general", ann, bot.user)

        client = AsyncWebClient(token=bot.token, base_url=slack.api_url, retry_handlers=[])
        handler = AsyncSocketModeHandler(AsyncApp(client=client), slack.app.token)
        await handler.connect_async()

        root = ann.says(general, f"{bot.mention} fix it")
        await slack.until(lambda: len(ann.reads(general, root)) == 2)

Payloads, error codes and tiers are those of the documentation and of the SDKs. What these do not
say is as others report it, or a guess where a constant says so:

- a retry in Socket Mode comes for the reason `timeout`, whatever happened;
- a reply to what is not there is accepted and seen nowhere (`slack.orphans`);
- every edit of a mention is another `app_mention`, and other bots mention too;
- a mention in a code block pings.

There is no OAuth, no streaming, no `assistant.threads.*`, no user token, no organisation-wide
installation; channels are known by their ids only.
"""

from tests.fakes.slack.bad import Bad, Mishap
from tests.fakes.slack.server import FakeSlack

__all__ = ["Bad", "FakeSlack", "Mishap"]
