"""How this host reads the repositories of the installation's forges."""

from pydantic import SecretStr

from bot.config import GitHubSettings, GitLabSettings, Settings
from bot.logins import logins_open


async def test_gitlab_lets_us_in_by_the_token_of_the_settings(tmp_path):
    gitlab = GitLabSettings(token=SecretStr("glpat-1"), url="https://git.test:8443")
    async with logins_open(Settings(data_dir=tmp_path, gitlab=gitlab)) as login:
        assert await login("https://git.test:8443/acme/api.git") == ("oauth2", "glpat-1")
        assert await login("https://git.test/acme/api.git") is None
        assert await login("https://other.test:8443/acme/api.git") is None


async def test_github_lets_us_in_by_a_token_of_the_apps_installation(github, shop, tmp_path):
    settings = GitHubSettings(
        app_id=github.app.id,
        private_key=SecretStr(github.private_key),
        api_url=github.url,
        url="https://github.test",
    )
    async with logins_open(Settings(data_dir=tmp_path, github=settings)) as login:
        user, token = await login(f"https://github.test/{shop.name}")
        assert (user, bool(token)) == ("x-access-token", True)
        assert await login("https://github.test/nobody/nothing") is None
        assert await login("https://github.com/acme/api") is None


async def test_a_key_that_can_not_be_read_lets_nobody_in_and_breaks_nothing(tmp_path):
    settings = GitHubSettings(app_id=7, private_key_file=tmp_path / "not there")
    async with logins_open(Settings(data_dir=tmp_path, github=settings)) as login:
        assert await login("https://github.com/acme/api") is None
