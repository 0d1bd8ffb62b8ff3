"""Keys and tokens are renewed; a post of which nobody knows is found all the same."""

import pytest

from adapters.chat.port import Content, Deadline, Uncertain
from bot.config import GitLabSettings, Settings
from bot.surfaces import open_surfaces
from tests.fakes.gitlab.bad import Bad
from tests.integration.forge.gitlab_rig import open_shop


async def test_a_post_is_found_after_its_token_was_renewed(town):
    async with open_shop() as shop:

        def opened():
            given = GitLabSettings(token=shop.us.token, url=shop.gitlab.url)
            return open_surfaces(Settings(gitlab=given), town.database, owner="serve")

        place = shop.request.place
        async with opened() as before:
            shop.gitlab.bad.behave("notes.create", Bad(drop_answer=True))
            content = Content(text="hello")
            with pytest.raises(Uncertain):
                await before.ports["gitlab"].post(place, content, "m1", Deadline.after(10))
        shop.us.token = "glpat-renewed"
        async with opened() as after:
            port = after.ports["gitlab"]
            (note,) = shop.request.by(shop.us)
            assert await port.find(place, "m1", Deadline.after(10)) is not None
            assert await port.find(place, "m2", Deadline.after(10)) is None
            assert "glpat" not in note.body
