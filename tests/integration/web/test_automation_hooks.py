"""Deliveries to the webhook of an automation: who may, what is kept, what is answered."""

import asyncio
import hashlib
import hmac
import json
import os
import time
from asyncio.subprocess import DEVNULL, PIPE

import pytest
from sqlalchemy import text

from bot.automate.definition import SCHEMA, Definition, digest, kept
from bot.automate.runs.beginning import Beginning
from bot.automate.runs.repositories import KnownRepositories
from bot.automate.triggers import hook_intake
from bot.automate.triggers.hook_checks import BODY_BYTES_MAX, WINDOW_SECONDS, signature
from bot.automate.triggers.hook_intake import BUCKET, DELIVERIES_AT_ONCE
from bot.automate.triggers.hook_secrets import HookSecrets
from bot.automate.triggers.taking import Taking
from bot.store.ids import new_id
from tests.integration.web.site import Site
from tests.support import examples

SCHEMA_LINE = f"schema: {SCHEMA}\n"
BODY = {"action": "opened", "n": 1}


class Hook:
    """The webhook of an automation of a site, and who delivers to it."""

    def __init__(self, site: Site, short: str, secret: str) -> None:
        self.site, self.short, self.secret = site, short, secret

    async def send(self, headers: dict[str, str], body: bytes, short: str | None = None):
        url = f"/hooks/automations/{short or self.short}"
        async with self.site.client() as client:
            del client.headers["Authorization"]
            typed = {"content-type": "application/json", **headers}
            return await client.post(url, content=body, headers=typed)

    async def signed(self, body: dict, *, at: int | None = None, **headers: str):
        raw, stamp = json.dumps(body).encode(), int(time.time()) if at is None else at
        ours = {
            "x-ona-signature-256": signature(self.secret, stamp, raw),
            "x-ona-timestamp": str(stamp),
        }
        return await self.send({**ours, **headers}, raw)

    async def like_github(self, body: dict, **headers: str):
        raw = json.dumps(body).encode()
        made = hmac.new(self.secret.encode(), raw, hashlib.sha256).hexdigest()
        return await self.send({"x-hub-signature-256": f"sha256={made}", **headers}, raw)

    async def events(self):
        return await self.site.rows("SELECT facts, state FROM trigger_event ORDER BY created_at")


async def hook_of(site: Site, **options) -> Hook:
    said = {"name": "deploys", "steps": [{"run": "true"}], "triggers": [{"webhook": options}]}
    definition = Definition.model_validate(said)
    made = await HookSecrets().make()
    automation_id, short = new_id(), f"t-{new_id().hex[-8:]}"
    await site.database.run(
        text(
            "INSERT INTO automation (id, short, project_id, name, definition, digest, state,"
            " creator_id) SELECT :id, :short, project.id, 'deploys', CAST(:definition AS jsonb),"
            " :digest, 'active', :ann FROM project LIMIT 1"
        ),
        {
            "id": automation_id,
            "short": f"a-{new_id().hex[-8:]}",
            "definition": json.dumps(kept(definition)),
            "digest": digest(definition),
            "ann": site.ann,
        },
    )
    await site.database.run(
        text(
            "INSERT INTO automation_trigger (id, short, automation_id, place, kind, options,"
            " sealed) VALUES (:id, :short, :automation, 0, 'webhook', CAST(:options AS jsonb),"
            " :sealed)"
        ),
        {
            "id": new_id(),
            "short": short,
            "automation": automation_id,
            "options": json.dumps({"webhook": options}),
            "sealed": made.sealed,
        },
    )
    return Hook(site, short, made.secret.get_secret_value())


async def test_what_is_signed_is_kept_once_and_says_what_became_of_it(site) -> None:
    hook = await hook_of(site)
    first = await hook.signed(BODY, **{"idempotency-key": "k1"})
    assert first.status_code == 202, first.text
    assert (first.json()["became"], first.json()["state"]) == ("accepted", "waiting")
    again = await hook.signed(BODY, at=int(time.time()) + 1, **{"idempotency-key": "k1"})
    assert (again.status_code, again.json()["became"]) == (202, "known")
    assert again.json()["event"] == first.json()["event"]
    ((facts, state),) = await hook.events()
    assert (facts["body"], state) == (BODY, "waiting")


async def test_a_repeat_counts_once_under_whatever_key_and_a_later_one_counts(site) -> None:
    hook, now = await hook_of(site), int(time.time())
    answers = [
        await hook.signed(BODY, at=now),
        await hook.signed(BODY, at=now),
        await hook.signed(BODY, at=now, **{"idempotency-key": "other"}),
        await hook.signed(BODY, at=now + 1),
        await hook.signed({**BODY, "n": 2}, at=now),
    ]
    became = [answer.json()["became"] for answer in answers]
    assert became == ["accepted", "known", "known", "accepted", "accepted"]


async def test_who_signs_like_github_is_known_by_its_deliveries(site) -> None:
    hook = await hook_of(site)
    ping = await hook.like_github({"zen": "…"}, **{"x-github-event": "ping"})
    assert (ping.status_code, ping.json()["became"]) == (202, "ping")
    for delivery in ("d1", "d1", "d2"):
        named = {"x-github-event": "push", "x-github-delivery": delivery}
        assert (await hook.like_github(BODY, **named)).status_code == 202
    assert [facts["event"] for facts, _ in await hook.events()] == ["push", "push"]
    unnamed = [(await hook.like_github({"x": 1})).json()["became"] for _time in range(2)]
    assert unnamed == ["accepted", "known"]


async def test_who_can_t_sign_sends_the_secret_itself(site) -> None:
    hook = await hook_of(site)
    raw = json.dumps(BODY).encode()
    taken = await hook.send({"authorization": f"Bearer {hook.secret}"}, raw)
    assert taken.json()["became"] == "accepted"


async def test_the_filter_says_which_path_does_not_fit(site) -> None:
    hook = await hook_of(site, filter={"action": ["closed"], "n": 1})
    missed = await hook.signed(BODY)
    assert (missed.status_code, missed.json()["became"]) == (202, "filtered")
    assert "action" in missed.json()["says"]
    assert (await hook.signed({"action": "closed", "n": 1})).json()["became"] == "accepted"
    assert len(await hook.events()) == 1


async def test_each_refusal_has_its_status_and_keeps_nothing(site) -> None:
    hook, now = await hook_of(site), int(time.time())
    bearer = {"authorization": f"Bearer {hook.secret}"}
    user = {"authorization": f"Bearer {site.token}"}
    answers = {
        "unsigned": await hook.send({}, b"{}"),
        "wrong": await hook.send({"authorization": "Bearer x"}, b"{}"),
        "of a person": await hook.send(user, b"{}"),
        "old": await hook.signed(BODY, at=now - WINDOW_SECONDS - 60),
        "no json": await hook.send(bearer, b"a=b"),
        "no object": await hook.send(bearer, b"[]"),
        "nobody's": await hook.send(bearer, b"{}", short="t-none"),
        "large": await hook.send(bearer, b" " * (BODY_BYTES_MAX + 1)),
    }
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "unsigned": 401,
        "wrong": 401,
        "of a person": 401,
        "old": 401,
        "no json": 400,
        "no object": 400,
        "nobody's": 404,
        "large": 413,
    }
    for answer in answers.values():
        assert answer.json()["error"]
        assert answer.json()["do"]
        assert hook.secret not in answer.text
    assert await hook.events() == []


@pytest.mark.parametrize(("state", "status"), [("paused", 409), ("removed", 404)])
async def test_nothing_is_taken_for_one_that_does_not_act(site, state, status) -> None:
    hook = await hook_of(site)
    await site.rows("UPDATE automation SET state = :state RETURNING id", state=state)
    assert (await hook.signed(BODY)).status_code == status
    assert (await hook.send({}, b"{}")).status_code == (401 if state == "paused" else 404)
    assert await hook.events() == []


@pytest.mark.parametrize("options", ['{"webhook": {"filter": 7}}', '{"later": 1}', "[]", "null"])
async def test_one_whose_options_can_t_be_read_pauses_is_said_and_refuses(site, options) -> None:
    hook = await hook_of(site)
    await site.rows(
        "UPDATE automation_trigger SET options = CAST(:options AS jsonb) RETURNING id",
        options=options,
    )
    for _delivery in range(2):
        answer = await hook.signed(BODY)
        assert (answer.status_code, answer.json()["code"]) == (409, "paused")
    assert await hook.events() == []
    assert await site.rows("SELECT state, why FROM automation") == [("paused", "unreadable")]
    assert await site.rows(
        "SELECT said ->> 'id' LIKE '%be read any more%' FROM automation_notice"
    ) == [(True,)]


async def test_a_flood_is_told_when_to_come_again_and_another_hook_is_not_hurt(site) -> None:
    hook, other = await hook_of(site), None
    bearer = {"authorization": f"Bearer {hook.secret}"}
    count = DELIVERIES_AT_ONCE + 40
    bodies = [json.dumps({"n": number}).encode() for number in range(count)]
    strange = [await hook.send({"authorization": "Bearer x"}, b"{}") for _time in range(5)]
    assert {one.status_code for one in strange} == {401}
    begun = time.monotonic()
    answers = []
    for first in range(0, count, 20):
        sending = (hook.send(bearer, body) for body in bodies[first : first + 20])
        answers += await asyncio.gather(*sending)
    seconds = time.monotonic() - begun
    taken = [one for one in answers if one.status_code == 202]
    refused = [one for one in answers if one.status_code == 429]
    assert len(taken) + len(refused) == count
    assert DELIVERIES_AT_ONCE <= len(taken) <= DELIVERIES_AT_ONCE + seconds + 1
    assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
    assert len(await hook.events()) == len(taken)
    await site.rows("UPDATE automation SET name = 'first' RETURNING id")
    other = await hook_of(site)
    assert (await other.signed(BODY)).status_code == 202


async def test_what_comes_twice_at_once_is_one(site) -> None:
    hook, now = await hook_of(site), int(time.time())
    answers = await asyncio.gather(*(hook.signed(BODY, at=now) for _time in range(6)))
    became = sorted(answer.json()["became"] for answer in answers)
    assert became == ["accepted"] + ["known"] * 5


async def test_a_key_is_each_webhook_s_own_and_counts_once_whatever_else_is_sent_with_it(
    site,
) -> None:
    hook, now = await hook_of(site), int(time.time())
    await site.rows("UPDATE automation SET name = 'first' RETURNING id")
    other = await hook_of(site)
    key = {"idempotency-key": "one"}
    became = [
        (await one.signed(body, at=at, **key)).json()["became"]
        for one, body, at in (
            (hook, BODY, now),
            (other, BODY, now),
            (hook, {"n": 2}, now - 1),
            (other, BODY, now - 2),
        )
    ]
    assert became == ["accepted", "accepted", "known", "known"]


async def test_buckets_of_hooks_that_are_gone_are_forgotten(site) -> None:
    hook = await hook_of(site)
    await hook.signed(BODY)
    await site.rows(
        "INSERT INTO bucket (surface, method, tokens)"
        " VALUES (:hook, 't-gone', 1), ('slack', 'x', 1)"
        " RETURNING method",
        hook=BUCKET,
    )
    async with site.database.begin() as tx:
        await hook_intake.forget_buckets(tx)
    left = await site.rows("SELECT method FROM bucket ORDER BY surface")
    assert left == [(hook.short,), ("x",)]


async def test_one_made_over_the_api_is_called_and_says_which_run_came_of_it(site) -> None:
    source = "name: hooked\ntriggers:\n  - webhook:\nsteps:\n  - run: echo hi\n"
    (project,) = (await site.rows("SELECT name FROM project LIMIT 1"))[0]
    async with site.client() as ann:
        made = await ann.post(
            "/api/v1/automations", json={"project": project, "source": SCHEMA_LINE + source}
        )
    assert made.status_code == 201, made.text
    (told,) = made.json()["webhooks"]
    hook = Hook(site, told["trigger"], told["secret"])
    now = int(time.time())
    assert (await hook.signed(BODY, at=now)).json()["became"] == "accepted"
    beginning = Beginning(site.database, KnownRepositories({}))
    await Taking(site.database, beginning).once()
    again = (await hook.signed(BODY, at=now)).json()
    assert (again["became"], again["state"]) == ("known", "taken")
    ((run, trigger),) = await site.rows("SELECT short, trigger FROM run")
    assert again["run"] == run
    assert (trigger["kind"], trigger["body"]) == ("webhook", BODY)


async def test_the_shell_of_the_page_delivers(site) -> None:
    hook = await hook_of(site)
    (shell,) = examples.blocks("automation-triggers.md", "sh")
    variables = {
        "HOOK": f"{site.url}/hooks/automations/{hook.short}",
        "HOOK_SECRET": hook.secret,
        "PATH": os.environ["PATH"],
    }
    run = await asyncio.create_subprocess_exec(
        "bash", "-ec", shell, env=variables, stdout=PIPE, stderr=DEVNULL
    )
    answer, _ = await asyncio.wait_for(run.communicate(), 60)
    assert run.returncode == 0
    assert json.loads(answer)["became"] == "accepted"
    ((facts, state),) = await hook.events()
    assert (facts["body"], state) == ({"state": "failed"}, "waiting")
