"""The guest of tests that runs on this host takes nothing of this host's users for its own."""

from pathlib import Path

from tests.fakes.guest import hosted_guest
from vmpool.ssh import Authority


async def test_a_login_reads_the_guests_own_home(tmp_path: Path) -> None:
    with hosted_guest() as guest:
        (guest.directory / "home").joinpath(".bashrc").write_text("export FROM_HOME=guest\n")
        channel = await guest.open(await Authority.load(tmp_path / "ca"))
        login = await channel.login()
        ran = await login.run('echo "$HOME $FROM_HOME"', check=True)
        await channel.close()
        assert ran.stdout == f"{guest.directory / 'home'} guest\n"
