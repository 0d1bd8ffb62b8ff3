"""What issues the tokens of forges: imported only where a forge is set up, with its SDK."""

from contextlib import ExitStack

from adapters.forge.gitlab.client import Client
from adapters.vault.client import Vault
from adapters.vault.forges import AppKey, GitHubTokens, GitLabTokens
from adapters.vault.port import Issuer
from adapters.vault.prepare import Names
from adapters.vault.sealing import Sealing
from bot.config import Settings


def forge_issuers(
    settings: Settings, vault: Vault, names: Names, stack: ExitStack
) -> dict[str, Issuer]:
    """Those that the settings have credentials for; closed with the stack."""
    issuers: dict[str, Issuer] = {}
    key, github = settings.vault.github_key, settings.github
    if key and github.app_id is not None:
        issuers["github"] = tokens = GitHubTokens(
            AppKey(vault, str(github.app_id), key=key, mount=names.transit),
            Sealing(vault, key=names.sealing_key, mount=names.transit),
            api_url=github.api_url,
        )
        stack.callback(tokens.close)
    if settings.gitlab.token is not None:
        client = Client(settings.gitlab.url, settings.gitlab.token.get_secret_value())
        stack.callback(client.close)
        issuers["gitlab"] = GitLabTokens(client)
    return issuers
