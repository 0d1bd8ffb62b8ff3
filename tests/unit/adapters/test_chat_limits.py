"""What the chat surfaces bear, as their documentation says it."""

from adapters.chat.discord.port import DiscordChat
from adapters.chat.slack.port import SlackChat


def test_all_turns_of_a_slack_workspace_share_forty_edits_a_minute():
    rate = SlackChat.limits.rates["edit"]
    assert round(rate.per_second * 60) == 40
    # Slack takes 50 in any minute: what was saved up may come on top in one of them.
    assert rate.burst + rate.per_second * 60 <= 50


def test_a_post_of_discord_is_edited_every_two_seconds_and_an_old_one_every_thirty():
    assert DiscordChat.limits.edit_seconds >= 2
    assert (DiscordChat.limits.old_seconds, DiscordChat.limits.old_edit_seconds) == (3_600, 30)
