"""Where people come in: pages, visits to machines, chat and code hosts."""

from typing import Annotated

from pydantic import Field, SecretStr

from bot.config.section import (
    AnyPath,
    Count,
    Emoji,
    HttpAddress,
    Listed,
    ListenAddress,
    Seconds,
    Section,
)


class VisitSettings(Section):
    """People's own ways into machines: `ona sessions ssh` and previews."""

    listen: ListenAddress = Field(
        default="",
        description="`address:port` on which `ona serve` of other hosts reaches the machines of"
        " this one, with TLS; none: only processes of this host do, over a Unix socket",
    )
    address: ListenAddress = Field(
        default="",
        description="`name:port` under which they find it; default: this host's name and the port",
    )
    connections_max: Count = Field(
        default=256, description="connections of people into machines of this host at once"
    )
    session_connections_max: Count = Field(
        default=64, description="of them into one session's machine"
    )
    idle_seconds: Seconds = Field(
        default=1800, description="time without a byte after which such a connection is ended"
    )


class WebSettings(Section):
    """Pages and API."""

    allowed_hosts: Listed = Field(
        default=(), description="names besides the loopback ones under which it may be reached"
    )
    sign_in_days: Seconds = Field(default=30, description="life of a browser's sign-in")
    link_minutes: Seconds = Field(default=60, description="life of a one-time sign-in link")
    streams_max: Count = Field(default=100, description="live event streams at once")
    preview_host: Annotated[str, Field(pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)*)?$")] = Field(
        default="",
        description="name below which each preview has a host name of its own; its wildcard must"
        " lead here. Default: `preview.localhost` where people reach the web server by loopback,"
        " else none: docs/previews.md",
    )
    preview_hours: Seconds = Field(default=24, description="life of a preview's address")


class SlackSettings(Section):
    """Slack; off without the bot token and a way in: the app's token, or the signing secret."""

    bot_token: SecretStr | None = Field(
        default=None, description="the app's bot token, `xoxb-…`: it posts and reads"
    )
    app_token: SecretStr | None = Field(
        default=None, description="the app's own token, `xapp-…`: it opens the connection"
    )
    signing_secret: SecretStr | None = Field(
        default=None,
        description="the app's signing secret; with it Slack delivers to `/hooks/slack` over HTTP,"
        " and ona opens no connection",
    )
    api_url: str = Field(default="https://slack.com/api/", description="where Slack's Web API is")
    start_reaction: Emoji = Field(
        default="",
        description="name of a reaction, such as `robot_face`, that sends a message to ona;"
        " none: off",
    )


class DiscordSettings(Section):
    """Discord; off without a token."""

    token: SecretStr | None = Field(default=None, description="token of the bot")
    start_reaction: Annotated[str, Field(pattern=r"^[^\s<>@:]*$", max_length=100)] = Field(
        default="",
        description="a reaction that sends a message to ona: the emoji itself, such as `🤖`, or the"
        " name of one of the server's own; none: off",
    )


class GitHubSettings(Section):
    """GitHub, by a GitHub App; off without its id and key."""

    app_id: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="number of the GitHub App"
    )
    private_key: SecretStr | None = Field(
        default=None, description="the App's private key, as the text of its PEM file"
    )
    private_key_file: AnyPath | None = Field(
        default=None, description="or the file that holds the private key"
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="the App's webhook secret; without it repositories are asked every 30 s",
    )
    client_id: str | None = Field(
        default=None, description="the App's client id: lets people connect their accounts"
    )
    client_secret: SecretStr | None = Field(
        default=None, description="the App's client secret: lets them do so without typing a code"
    )
    forks: bool = Field(
        default=False, description="whether pull requests from forks may be talked about"
    )
    url: HttpAddress = Field(default="https://github.com", description="where GitHub's pages are")
    api_url: HttpAddress = Field(
        default="https://api.github.com",
        description="where its API is; a server of your own: `https://HOST/api/v3`",
    )


class GitLabSettings(Section):
    """GitLab, by the token of a group or of a service account; off without one."""

    token: SecretStr | None = Field(
        default=None, description="access token with the scope `api`, of a group or a bot"
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="secret token of the webhooks; without it projects are asked every 30 s",
    )
    client_id: str | None = Field(
        default=None, description="id of an application: lets people connect their accounts"
    )
    client_secret: SecretStr | None = Field(
        default=None, description="its secret: lets them do so without typing a code"
    )
    act_for_people: bool = Field(
        default=False,
        description="whether people who connect their accounts are asked for the scope `api`, with"
        " which their merge requests are opened as theirs; needs Vault, which seals their tokens",
    )
    forks: bool = Field(
        default=False, description="whether merge requests from forks may be talked about"
    )
    bots: Listed = Field(
        default=(),
        description="usernames of bots that GitLab takes for people; those that it knows as bots,"
        " such as the users of tokens and service accounts, need not be named",
    )
    url: HttpAddress = Field(default="https://gitlab.com", description="where GitLab is")
