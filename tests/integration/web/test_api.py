"""The HTTP API over a real server and database."""

import asyncio
import json

import pytest

from bot.govern import beside
from bot.store.states import TurnState


async def test_a_prompt_opens_a_session_and_the_same_key_opens_no_second(site):
    async with site.client() as client:
        said = {"text": "fix the test"}
        first = await client.post("/api/v1/prompts", json=said, headers={"Idempotency-Key": "k"})
        again = await client.post("/api/v1/prompts", json=said, headers={"Idempotency-Key": "k"})
        listed = (await client.get("/api/v1/sessions")).json()["sessions"]
    assert first.status_code == 202
    assert first.json()["verdict"] == "prompt"
    assert again.json() == {**first.json(), "duplicate": True}
    assert [one["short"] for one in listed] == [first.json()["session"]]
    assert await site.rows("SELECT count(*) FROM prompt") == [(1,)]


async def test_the_same_key_of_another_person_is_another_prompt(site):
    headers = {"Idempotency-Key": "k"}
    bo = await site.token_of(site.bo)
    async with site.client() as ann, site.client(bo) as other:
        first = await ann.post("/api/v1/prompts", json={"text": "a"}, headers=headers)
        second = await other.post("/api/v1/prompts", json={"text": "b"}, headers=headers)
    assert first.json()["session"] != second.json()["session"]


async def test_a_thread_goes_on_with_its_session_until_new_is_asked_for(site):
    first = await site.ask("one", thread="/home/ann/demo", surface="terminal")
    follow_up = await site.ask("two", thread="/home/ann/demo", surface="terminal")
    new = await site.ask("three", thread="/home/ann/demo", surface="terminal", new=True)
    assert follow_up["session"] == first["session"]
    assert new["session"] != first["session"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"text": ""}, 422, "empty"),
        ({"text": "x", "session": "s-nope"}, 404, "no session s-nope"),
        ({"text": "x", "project": "nope"}, 404, "no project nope"),
        ({"text": "stop"}, 409, "no session in this thread"),
        ({"text": "x" * 200_000}, 413, "at most 100,000"),
        ({"text": "x", "colour": "red"}, 422, "colour"),
        ({}, 422, "text"),
    ],
)
async def test_what_can_not_be_accepted_says_why_in_the_one_shape(site, body, status, words):
    async with site.client() as client:
        answer = await client.post("/api/v1/prompts", json=body)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "kept", "do", "code"}
    assert words in answer.json()["error"]


async def test_a_refusal_keeps_what_was_kept_and_what_to_do_in_every_delivery(site):
    async with site.client() as client:
        for _ in range(2):
            answer = await client.post(
                "/api/v1/prompts", json={"text": "x" * 200_000}, headers={"Idempotency-Key": "k"}
            )
            assert answer.status_code == 413
            assert answer.json() == {
                "error": "the message has 200,000 bytes and at most 100,000 fit",
                "kept": "nothing was queued",
                "do": "put the long part into a file of the repository and name it",
                "code": "too_large",
            }


async def test_nobody_gets_in_without_a_token_that_holds(site):
    async with site.client("ona_wrong") as client:
        answer = await client.get("/api/v1/sessions")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "sign-in link" in answer.json()["do"]


async def test_a_deactivated_person_may_nothing_from_that_moment(site):
    token = await site.token_of(site.bo)
    async with site.client() as ann, site.client(token) as bo:
        assert (await bo.get("/api/v1/sessions")).status_code == 200
        assert (await ann.post("/api/v1/people/Bo/deactivate")).status_code == 200
        assert (await bo.get("/api/v1/sessions")).status_code == 401
        assert (await ann.post("/api/v1/people/Bo/activate")).status_code == 200
        assert (await bo.get("/api/v1/sessions")).status_code == 401


async def test_only_an_operator_makes_links_for_others(site):
    async with site.client(await site.token_of(site.bo)) as bo:
        for path in ("/api/v1/people/Ann/link", "/api/v1/people/Ann/deactivate"):
            answer = await bo.post(path)
            assert answer.status_code == 422
            assert "operator" in answer.json()["error"]
        mine = await bo.post("/api/v1/people/me/link")
    assert mine.json()["url"].startswith(f"{site.url}/sign-in?link=")


async def test_only_an_operator_makes_a_project_of_the_hosts_files(site, tmp_path):
    project = {"name": "theirs", "repository_url": str(tmp_path)}
    async with site.client(await site.token_of(site.bo)) as bo:
        answer = await bo.post("/api/v1/projects", json=project)
        assert answer.status_code == 422
        assert "operator" in answer.json()["error"]
        names = [one["name"] for one in (await bo.get("/api/v1/projects")).json()["projects"]]
    assert "theirs" not in names


async def test_events_come_in_pages_without_gaps(site):
    asked = await site.ask("!seq 5")
    work = await site.begin()
    for number in range(5):
        await work.output(f"{number}\n")
    await work.end()
    numbers, after = [], 0
    async with site.client() as client:
        while True:
            page = (
                await client.get(
                    f"/api/v1/sessions/{asked['session']}/events",
                    params={"after": after, "limit": 2},
                )
            ).json()
            if not page["events"]:
                break
            numbers += [event["number"] for event in page["events"]]
            after = page["last"]
    assert numbers == list(range(1, numbers[-1] + 1))
    assert len(numbers) >= 8


async def test_a_stopped_queue_is_held_shown_resumed_and_cleared(site):
    short = (await site.ask("!sleep 9"))["session"]
    work = await site.begin()
    await site.ask("!echo after", session=short)
    async with site.client() as client:
        path = f"/api/v1/sessions/{short}"
        queue = (await client.get(f"{path}/queue")).json()
        assert [row["text"] for row in queue["prompts"]] == ["echo after"]
        stopped = await client.post(f"{path}/stop")
        assert "held" in stopped.json()["text"]
        await work.end(TurnState.STOPPED)
        assert (await client.get(path)).json()["state"] == "held"
        assert (await client.post(f"{path}/resume")).status_code == 200
        assert (await client.post(f"{path}/resume")).status_code == 409
        assert (await client.post(f"{path}/clear")).status_code == 200
        assert (await client.get(path)).json()["state"] == "idle"
        nothing = await client.post(f"{path}/stop")
    assert nothing.status_code == 409
    assert nothing.json()["error"] == "nothing is running or queued here"


async def test_the_last_turn_is_taken_back_once_for_a_key_and_before_what_waits(site):
    short = (await site.ask("!one"))["session"]
    async with site.client() as client:
        path = f"/api/v1/sessions/{short}"
        none = await client.post(f"{path}/undo")
        assert (none.status_code, none.json()["error"]) == (
            409,
            "there is no turn of this session that could be taken back",
        )
        await (await site.begin()).end()
        await site.ask("!two", session=short)
        key = {"Idempotency-Key": "k"}
        taken, again = [await client.post(f"{path}/undo", headers=key) for _ in range(2)]
        assert (taken.status_code, taken.json()["session"]) == (202, short)
        assert again.json() == {**taken.json(), "duplicate": True}
        queue = (await client.get(f"{path}/queue")).json()["prompts"]
        assert [(row["kind"], row["text"]) for row in queue] == [
            ("undo", "undo"),
            ("command", "two"),
        ]
        assert (await client.post("/api/v1/sessions/s-none/undo")).status_code == 404


async def test_cancelling_by_place_can_be_tied_to_the_prompt_that_was_seen_there(site):
    short = (await site.ask("!one"))["session"]
    await site.ask("!two", session=short)
    async with site.client() as client:
        path = f"/api/v1/sessions/{short}"
        seen = (await client.get(f"{path}/queue")).json()["prompts"]
        assert (await client.delete(f"{path}/prompts/1")).status_code == 200
        late = await client.delete(f"{path}/prompts/1", params={"prompt": seen[0]["id"]})
        assert late.status_code == 404
        assert late.json()["kept"] == "nothing was cancelled"
        held = await client.delete(f"{path}/prompts/1", params={"prompt": seen[1]["id"]})
        assert held.status_code == 200
        assert (await client.delete(f"{path}/prompts/1")).status_code == 404


async def test_a_question_is_answered_once(site):
    short = (await site.ask("!ona-ask"))["session"]
    work = await site.begin()
    await work.ask("Which port?", "80", "8080")
    async with site.client() as client:
        path = f"/api/v1/sessions/{short}/questions"
        (question,) = (await client.get(path)).json()["questions"]
        assert question["choices"] == ["80", "8080"]
        answer = f"{path}/{question['id']}/answer"
        assert (await client.post(answer, json={"text": "80"})).status_code == 200
        assert (await client.post(answer, json={"text": "8080"})).status_code == 409
        (after,) = (await client.get(path)).json()["questions"]
    assert (after["state"], after["answer"], after["answered_by"]) == ("answered", "80", "Ann")


async def test_a_machine_is_asked_of_its_owner_by_any_of_its_names(site):
    short = (await site.ask("!true"))["session"]
    machine_id = await site.machine(short)
    async with site.client() as client:
        (machine,) = (await client.get("/api/v1/machines")).json()["machines"]
        assert machine["session"] == short
        for name in (str(machine_id), machine["short"], short):
            answer = await client.post(f"/api/v1/machines/{name}/hibernate")
            assert answer.status_code == 202
        assert (await client.get(f"/api/v1/machines/{short}")).json()["request"] == "rest"
        await site.rows("UPDATE machine SET state = 'hibernating'")
        await site.rows("UPDATE machine SET state = 'resting', request = NULL")
        assert (await client.post(f"/api/v1/machines/{short}/hibernate")).status_code == 409
        assert (await client.post(f"/api/v1/machines/{short}/destroy")).status_code == 202
        assert (await client.get("/api/v1/machines/m-nothing")).status_code == 404


async def test_a_machine_of_a_silent_host_says_so_and_can_be_given_up_in_any_state(site):
    short = (await site.ask("!true"))["session"]
    machine_id = await site.machine(short)
    path = f"/api/v1/machines/{short}"
    async with site.client() as client:
        await site.rows("UPDATE host SET seen_at = now() + interval '1 h'")
        heard = (await client.get(path)).json()
        assert (heard["host_silent_since"], heard["host_given_up"]) == (None, False)
        await site.rows("UPDATE host SET seen_at = now() - interval '5 min'")
        await site.rows("UPDATE machine SET state = 'hibernating'")
        silent = (await client.get(path)).json()
        assert silent["host_silent_since"] is not None
        assert not silent["host_given_up"]
        assert (await client.post(f"{path}/destroy")).status_code == 409
        await site.rows("UPDATE host SET given_up_at = now()")
        assert (await client.get(path)).json()["host_given_up"]
        answer = await client.post(f"{path}/destroy")
        assert answer.status_code == 202
        assert "Its session goes on elsewhere with its next prompt" in answer.json()["text"]
    asked = await site.rows("SELECT request FROM machine WHERE id = :id", id=machine_id)
    assert asked == [("destroy",)]


@pytest.mark.parametrize(
    ("given_up", "said"),
    [
        ("NULL", "Prompts wait for it; if it stays silent, the session goes on elsewhere"),
        ("now()", "The session goes on elsewhere with its next prompt."),
    ],
)
async def test_the_pages_of_a_session_and_of_machines_say_that_its_host_is_silent(
    site, given_up, said
):
    short = (await site.ask("!true"))["session"]
    await site.machine(short)
    async with site.client() as client:
        await client.post(
            "/sign-in", data={"link": await site.link()}, headers={"Origin": site.url}
        )
        await site.rows("UPDATE host SET seen_at = now() + interval '1 h'")
        for path in (f"/sessions/{short}", "/machines"):
            assert 'class="silent"' not in (await client.get(path)).text
        await site.rows(
            f"UPDATE host SET seen_at = now() - interval '5 min', given_up_at = {given_up}"
        )
        for path in (f"/sessions/{short}", "/machines"):
            page = (await client.get(path)).text
            assert "atlas has been silent since <time" in page
            assert said in page
    assert "<strong>Silent.</strong>" in page


async def test_projects_are_checked_added_shown_and_removed(site):
    async with site.client() as client:
        path = "/api/v1/projects"
        for name, url in (
            ("web", "ext::sh -c id"),
            ("web", "--upload-pack=x"),
            ("../web", "https://example.org/web"),
            ("web", "/srv/empty"),
        ):
            refused = await client.post(path, json={"name": name, "repository_url": url})
            assert refused.status_code == 422, (name, url)
            assert refused.json()["do"]
        new = {"name": "web", "repository_url": "https://example.org/web.git"}
        assert (await client.post(path, json=new)).status_code == 201
        assert (await client.post(path, json=new)).status_code == 422
        names = [one["name"] for one in (await client.get(path)).json()["projects"]]
        assert names == ["demo", "web"]
        assert (await client.delete(f"{path}/web")).status_code == 200
        assert (await client.get(f"{path}/web")).status_code == 404
        assert (await client.post(path, json=new)).status_code == 201


async def test_tokens_are_shown_once_and_stop_working_when_revoked(site):
    async with site.client() as client:
        made = (await client.post("/api/v1/tokens", json={"name": "ci", "days": 1})).json()
        assert made["token"].startswith("ona_")
        assert made["token"] not in str(await site.rows("SELECT * FROM credential"))
        listed = (await client.get("/api/v1/tokens")).json()["tokens"]
        (ci,) = [one for one in listed if one["name"] == "ci"]
        async with site.client(made["token"]) as by_token:
            assert (await by_token.get("/api/v1/sessions")).status_code == 200
            await client.delete(f"/api/v1/tokens/{ci['id']}")
            assert (await by_token.get("/api/v1/sessions")).status_code == 401


async def test_the_api_describes_itself(site):
    async with site.client() as client:
        described = (await client.get("/api/openapi.json")).json()
        unknown = await client.get("/api/v1/nothing")
        method = await client.put("/api/v1/prompts")
    assert "/api/v1/prompts" in described["paths"]
    assert not [path for path in described["paths"] if not path.startswith("/api/v1/")]
    assert unknown.status_code == 404
    assert set(unknown.json()) == {"error", "kept", "do", "code"}
    assert method.status_code == 405


async def test_probes_and_metrics_answer(site):
    async with site.client() as client:
        assert (await client.get("/live")).json() == {"alive": True}
        assert (await client.get("/ready")).json() == {
            "ready": True,
            "checks": {"database": "ok"},
        }
        assert (await client.get("/metrics")).status_code == 200


async def test_many_accept_at_once(site):
    answers = await asyncio.gather(*(site.ask(f"!echo {number}") for number in range(30)))
    assert len({answer["session"] for answer in answers}) == 30


@pytest.mark.parametrize("odd", ["a\x00b", "a\ud800b"], ids=["nul", "surrogate"])
async def test_characters_that_no_text_has_are_replaced_or_refused(site, odd):
    body = json.dumps({"text": odd}).encode()
    short = (await site.ask("!x"))["session"]
    work = await site.begin()
    await work.ask("Which?")
    headers = {"Content-Type": "application/json"}
    async with site.client() as client:
        (question,) = (await client.get(f"/api/v1/sessions/{short}/questions")).json()["questions"]
        for path, content in (
            ("/api/v1/prompts", body),
            (f"/api/v1/sessions/{short}/questions/{question['id']}/answer", body),
            ("/api/v1/people", json.dumps({"name": odd}).encode()),
            ("/api/v1/tokens", json.dumps({"name": odd}).encode()),
            ("/api/v1/projects", json.dumps({"name": odd, "repository_url": odd}).encode()),
        ):
            answer = await client.post(path, content=content, headers=headers)
            assert answer.status_code < 500, (path, answer.text)
        for path in ("/api/v1/sessions/s-%00", "/api/v1/machines/%00", "/sessions/%00"):
            assert (await client.get(path)).status_code in {404, 422}


async def test_numbers_beyond_every_event_are_no_failure_of_ours(site):
    short = (await site.ask("!x"))["session"]
    async with site.client() as client:
        path = f"/api/v1/sessions/{short}/events"
        beyond = await client.get(path, params={"after": 10**30})
        assert beyond.json()["events"] == []
        assert (await client.get(path, params={"after": -1})).status_code == 422
        live = {"Accept": "text/event-stream", "Last-Event-ID": "9" * 5000}
        async with client.stream("GET", path, headers=live) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    assert line == "id: 1"
                    break


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/projects", {"size": "x" * 50}, "size"),
        ("/projects", {"size": "vast"}, "there is no size vast"),
        ("/projects", {"setup": [" "]}, "a command has"),
        ("/projects", {"ports": [3000, 65536]}, "there is no port 65536"),
        ("/projects", {"ports": [*range(3000, 3009)]}, "at most 8 ports"),
        ("/projects", {"base_branch": "x" * 1000}, "base_branch"),
        ("/people", {"name": "\x1b[31mred"}, "printable"),
        ("/people", {"name": "a\u202eb"}, "printable"),
        ("/tokens", {"name": "\x1b[31mred"}, "printable"),
    ],
)
async def test_what_can_not_work_or_be_shown_is_refused_by_name(site, path, body, named):
    given = {"name": "shop", "repository_url": "https://example.org/shop.git"}
    async with site.client() as client:
        body = {**given, **body} if path == "/projects" else body
        answer = await client.post(f"/api/v1{path}", json=body)
    assert answer.status_code == 422
    assert named in answer.json()["error"]


async def test_a_body_that_is_no_text_says_what_to_send(site):
    headers = {"Content-Type": "application/json"}
    async with site.client() as client:
        answer = await client.post(
            "/api/v1/prompts", content=b'{"text":"\xff\xfe"}', headers=headers
        )
    assert answer.status_code in {400, 422}
    assert answer.json()["do"]
    assert answer.json()["kept"] == "nothing was changed"


async def test_a_project_has_repositories_beside_its_own(site):
    async with site.client() as client:
        path = "/api/v1/projects/demo/repositories"
        lib = {"url": "https://example.org/lib.git", "base_branch": "next"}
        made = await client.post(path, json=lib)
        assert made.status_code == 201
        assert made.json()["repositories"] == [
            {"name": "lib", "url": "https://example.org/lib.git", "base_branch": "next"}
        ]
        for wrong in (
            {"url": "ext::sh -c id"},
            {"url": "https://example.org/lib.git", "name": "again"},
            {"url": "ssh://git@example.org/Lib", "name": "again"},
            {"url": "https://example.org/other.git", "name": "lib"},
            {"url": "https://example.org/other.git", "name": "demo"},
            {"url": "https://example.org/other.git", "name": "../up"},
            {"url": "/srv/empty"},
        ):
            refused = await client.post(path, json=wrong)
            assert refused.status_code == 422, wrong
        assert (await client.delete(f"{path}/lib")).status_code == 200
        assert (await client.delete(f"{path}/lib")).status_code == 404
        assert (await client.get("/api/v1/projects/demo")).json()["repositories"] == []
        for number in range(beside.BESIDE_MAX):
            url = f"https://example.org/lib-{number}.git"
            assert (await client.post(path, json={"url": url})).status_code == 201
        full = await client.post(path, json={"url": "https://example.org/one-more.git"})
        assert full.status_code == 422
        assert "at most 10" in full.json()["error"]
        await client.post(
            "/sign-in", data={"link": await site.link()}, headers={"Origin": site.url}
        )
        assert "lib-0: https://example.org/lib-0.git" in (await client.get("/projects")).text
