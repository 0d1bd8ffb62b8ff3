"""A GitHub with people in it: the emulator, and before it what that lacks.

    with emulator() as program:                       # one for a run of tests
        async with FakeGitHub(program) as github:     # one for a test
            shop = await github.repository()
            await shop.let(github.ann, "write")
            pull = await shop.pull()
            await github.ann.says(pull, "/ona fix it")

            app = App(app_id=str(github.app.id), private_key=github.private_key, api_url=github.url)
            ...
            assert [words.text for words in github.world.thread(pull.place)] == [...]

Everything goes through the emulator's own state and rules but what `routes`, `routes_app`,
`registering` and `hooks` list; the limits are GitHub's published ones. There is no GraphQL but for
one query and two mutations, no git, no OAuth and no commit status, and who belongs to an
organisation plays no part: repositories belong to the account `acme`.
"""

from tests.fakes.github.bad import Bad
from tests.fakes.github.program import Emulator, emulator
from tests.fakes.github.server import FakeGitHub

__all__ = ["Bad", "Emulator", "FakeGitHub", "emulator"]
