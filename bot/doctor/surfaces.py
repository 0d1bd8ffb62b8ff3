"""Checks of the chat surfaces: are their tokens there, and good for what we do."""

from adapters.chat.discord import examining as discord
from adapters.chat.slack import calls
from adapters.chat.slack.examining import examine, misplaced
from bot.config import Settings
from bot.doctor.finding import Finding, Verdict
from bot.surfaces import slack_tokens
from bot.switched import switches

SETTING_UP = "docs/slack.md says how to set it up."
REACH = "See whether this host reaches {}, then look again; nothing is known of the token."


async def check_slack(settings: Settings) -> Finding:
    """Whether people can talk to us in Slack."""
    name, given = "Slack", settings.slack
    tokens = slack_tokens(given)
    if tokens is None:
        switch = switches(settings)["slack"]
        half = switch.begun
        return Finding(
            name=name,
            verdict=Verdict.LESS if half else Verdict.FINE,
            found=f"off: {switch.missing}",
            follows="Nobody can talk to ona in Slack." if half else "",
            do=f"`ona setup slack` asks for what is missing; {SETTING_UP}" if half else "",
        )
    if wrong := misplaced(tokens):
        return Finding(
            name=name,
            verdict=Verdict.LESS,
            found=f"slack.{wrong}",
            follows="Nobody can talk to ona in Slack.",
            do=f"The bot token begins with xoxb-, the app's own with xapp-; {SETTING_UP}",
        )
    async with calls.open_session() as session:
        found = await examine(**tokens, session=session, api=given.api_url)
    if found.wrong:
        return Finding(
            name=name,
            verdict=Verdict.LESS,
            found=found.wrong,
            follows="Nobody can talk to ona in Slack.",
            do=f"Make the tokens anew; {SETTING_UP}" if found.judged else REACH.format("Slack"),
        )
    if found.missing:
        return Finding(
            name=name,
            verdict=Verdict.LESS,
            found=f"{found.user} in {found.team}, without {', '.join(found.missing)}",
            follows="What these scopes are for does not work.",
            do="Update the app from deploy/slack/manifest.yaml and install it again.",
        )
    over = ", delivered to /hooks/slack" if given.signing_secret else ""
    agent = f"; no agent sessions: {found.no_agent}" if found.no_agent else ""
    whole = f"{found.user} in {found.team}{over}{agent}"
    return Finding(name=name, verdict=Verdict.FINE, found=whole)


async def check_discord(settings: Settings) -> Finding:
    """Whether people can talk to us in Discord."""
    name, token = "Discord", settings.discord.token
    if token is None:
        return Finding(name=name, verdict=Verdict.FINE, found="off: discord.token is not set")
    found = await discord.examine(token.get_secret_value())
    if found.wrong:
        return Finding(
            name=name,
            verdict=Verdict.LESS,
            found=found.wrong,
            follows="Nobody can talk to ona in Discord.",
            do="Reset the bot's token, then `ona setup discord`; docs/discord.md says more."
            if found.judged
            else REACH.format("Discord"),
        )
    if not found.reads_content:
        return Finding(
            name=name,
            verdict=Verdict.LESS,
            found=f"{found.name}, without the Message Content intent",
            follows="Discord closes the connection: nobody can talk to ona there.",
            do="Switch the intent on: Bot, Privileged Gateway Intents, Message Content Intent.",
        )
    return Finding(name=name, verdict=Verdict.FINE, found=f"{found.name}; {found.invitation}")
