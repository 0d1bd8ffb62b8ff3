"""The pull requests of a session, by page, API and terminal."""

import json

from tests.support.visits import ona

ADD = (
    "INSERT INTO pull_request (id, session_id, surface, repository, number, url, state, draft,"
    " head, base, opened_by, asker_id)"
    " SELECT gen_random_uuid(), id, 'github', :repository, :number, :url, :state, true, branch,"
    " 'main', 'ona', creator_id FROM session RETURNING id"
)


async def opened(site) -> str:
    short = (await site.ask("!x"))["session"]
    for number, state, url in (
        (7, "merged", "https://github.com/acme/shop/pull/7"),
        (8, "open", "javascript:alert(1)"),
    ):
        await site.rows(ADD, repository="acme/shop", number=number, state=state, url=url)
    work = await site.begin()
    await site.rows(
        "INSERT INTO ci_watch (session_id, repository, ref, commit, turn_id, state)"
        " SELECT id, 'github:github.com/acme/shop', 'refs/heads/' || branch, 'c', :turn, 'failed'"
        " FROM session RETURNING ref",
        turn=work.turn.id,
    )
    return short


async def test_they_are_listed_with_what_became_of_them_and_their_checks(site) -> None:
    short = await opened(site)
    async with site.client() as client:
        assert (await client.get("/api/v1/sessions/s-none/pull-requests")).status_code == 404
        found = (await client.get(f"/api/v1/sessions/{short}/pull-requests")).json()
        await client.post(
            "/sign-in", data={"link": await site.link()}, headers={"Origin": site.url}
        )
        page = (await client.get(f"/sessions/{short}")).text
        side = (await client.get(f"/sessions/{short}/side")).text
    one, other = found["pull_requests"]
    assert (one["number"], one["state"], one["repository"]) == (7, "merged", "acme/shop")
    assert (other["state"], other["draft"], other["checks"]) == ("open", True, "failed")
    for shown in (page, side):
        assert '<a href="https://github.com/acme/shop/pull/7"' in shown
        assert "acme/shop #8" in shown
        assert "draft, checks failed" in shown
        assert "javascript:" not in shown


async def test_they_are_listed_in_the_terminal(site, tmp_path) -> None:
    short = await opened(site)
    said = (await ona(site, "sessions", "show", short, home=tmp_path)).out
    assert "Pull request acme/shop#7: merged, checks failed, https://github.com/acme/" in said
    assert "Pull request acme/shop#8: draft, checks failed" in said
    shown = json.loads((await ona(site, "sessions", "show", short, "--json", home=tmp_path)).out)
    assert [one["number"] for one in shown["pull_requests"]] == [7, 8]
