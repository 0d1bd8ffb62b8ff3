"""What was said in an internal note or a confidential issue, on the pages and in the API."""

import pytest

from bot.conversation.hearing import Chats
from bot.store.ids import new_id
from tests.fakes.gitlab import GUEST
from tests.integration.forge.gitlab_rig import open_shop, receiving
from tests.integration.web.site import running_site

SECRET = "burglary"
ADDRESSES = ("/", "/api/v1/sessions", "/machines", "/api/v1/machines", "/api/v1/usage")
OF_SESSION = (
    *("/sessions/{}", "/sessions/{}/side", "/sessions/{}/live", "/sessions/{}/changes"),
    *("/api/v1/sessions/{}", "/api/v1/sessions/{}/events", "/api/v1/sessions/{}/queue"),
)


@pytest.mark.parametrize("how", ["internal", "confidential"])
async def test_it_is_seen_by_who_reads_it_on_gitlab_and_not_by_the_public(
    database_url, tmp_path, how
):
    async with (
        open_shop() as shop,
        running_site(database_url, tmp_path, forges={"gitlab": shop.forge}) as site,
        receiving(shop, secret="s") as receiver,
    ):
        shop.project.visibility = "public"
        shop.project.members[shop.bo] = GUEST
        url, host = shop.project.clone_url, shop.forge.host
        await site.rows("UPDATE project SET repository_url = :url RETURNING id", url=url)
        ports = {"gitlab": shop.forge}
        receiver.ears.hear = Chats(site.database, site.services.inbox, ports, mention="ona").hear
        await site.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (:id, :bo, :surface, :account, 'bo') RETURNING id",
            **{"id": new_id(), "bo": site.bo, "account": str(shop.bo.id)},
            surface=f"gitlab:{host}",
        )
        issue = shop.ann.reports(shop.project, confidential=how == "confidential")
        shop.ann.says(issue, f"/ona !echo {SECRET}", internal=how == "internal")
        open_issue = shop.ann.reports(shop.project)
        shop.ann.says(open_issue, "/ona !echo typo")
        await shop.gitlab.until(lambda: all(one.status for one in shop.gitlab.hooks.all))
        ((short, ann),) = await site.rows(
            "SELECT short, creator_id FROM session WHERE title LIKE :title", title=f"%{SECRET}%"
        )
        await site.machine(short)
        addresses = [*ADDRESSES, *(one.format(short) for one in OF_SESSION)]
        async with site.client(await site.token_of(site.bo)) as bo:
            for address in addresses:
                said = (await bo.get(address)).text.replace(address, "")
                assert SECRET not in said, address
                assert short not in said, address
            assert "typo" in (await bo.get("/api/v1/sessions")).text
        async with site.client(await site.token_of(ann)) as writer:
            assert SECRET in (await writer.get("/api/v1/sessions")).text
            assert SECRET in (await writer.get(f"/sessions/{short}")).text
