"""Whether an App is good for what we do, found out by the real SDK."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from adapters.forge.github.app import App
from adapters.forge.github.examining import PERMISSIONS, examine
from tests.fakes.github import Bad, program

HOOK = "https://ona.example.org/hooks/github"


async def examined_as(github, *, app_id=None, key=None, url=None):
    app = App(
        app_id=str(app_id or github.app.id),
        private_key=key or github.private_key,
        api_url=url or github.url,
    )
    try:
        return await examine(app)
    finally:
        app.close()


async def test_a_good_app_is_told_by_its_slug_and_lacks_nothing(github, app, shop):
    github.registered.hook_url = HOOK
    found = await examine(app, repositories=[shop.name], hook_url=HOOK)
    assert (found.name, found.wrong) == (github.app.slug, "")
    assert (found.missing, found.unseen, found.remarks) == ((), (), ())
    assert {name: level for name, (level, _) in PERMISSIONS.items()} == program.PERMISSIONS


async def test_a_key_of_another_app_or_a_wrong_id_says_which_setting_it_is_about(github):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    for found in (
        await examined_as(github, key=other.decode()),
        await examined_as(github, app_id=99),
    ):
        assert found.wrong.startswith("the App's id or its private key: GitHub answered 401")


@pytest.mark.parametrize("key", ["nonsense", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n"])
async def test_what_is_no_key_says_so_without_showing_it(github, key):
    found = await examined_as(github, key=key)
    assert "the app's private key can't be used" in found.wrong
    assert key not in found.wrong


async def test_a_server_that_does_not_answer_is_no_wrong_key(github):
    found = await examined_as(github, url="http://127.0.0.1:9")
    assert found.wrong == "GitHub can't be reached"


async def test_what_answers_and_is_no_github_is_told(github):
    github.behave("GET", "/app$", Bad(wrong=b'{"hello": "world"}'))
    found = await examined_as(github)
    assert found.wrong == "what answers is no GitHub: KeyError"


async def test_permissions_that_are_missing_or_too_low_are_named(github, app):
    del github.registered.permissions["checks"]
    github.registered.permissions["issues"] = "read"
    found = await examine(app)
    assert found.missing == ("checks: write", "issues: write")
    assert found.wrong == ""


async def test_what_goes_further_than_needed_is_enough(github, app):
    github.registered.permissions["contents"] = "write"
    assert (await examine(app)).missing == ()


async def test_events_count_only_where_webhooks_are_expected(github, app):
    github.registered.events.remove("check_run")
    github.registered.hook_url = HOOK
    assert (await examine(app)).missing == ()
    assert (await examine(app, hook_url=HOOK)).missing == ("the event check_run",)


async def test_an_account_that_has_not_accepted_a_permission_is_named(github, app, shop):
    github.registered.accepted = {**program.PERMISSIONS, "checks": "read"}
    found = await examine(app, repositories=[shop.name])
    assert found.missing == ("checks: write (acme has not accepted it)",)


async def test_repositories_that_it_is_not_installed_in_are_named(github, app, shop):
    github.registered.hidden.add(shop.name)
    found = await examine(app, repositories=[shop.name, "acme/nowhere"])
    assert found.unseen == (shop.name, "acme/nowhere")


async def test_an_installation_that_is_suspended_sees_nothing(github, app, shop):
    github.registered.suspended = True
    (unseen,) = (await examine(app, repositories=[shop.name])).unseen
    assert unseen == f"{shop.name} (acme has suspended the App)"


async def test_a_webhook_that_goes_elsewhere_is_a_remark(github, app):
    assert (await examine(app, hook_url=HOOK)).remarks == ("the App has no webhook",)
    github.registered.hook_url = "https://old.example.org/hooks/github"
    (remark,) = (await examine(app, hook_url=HOOK)).remarks
    assert remark == f"its webhook goes to https://old.example.org/hooks/github, not to {HOOK}"


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        ([401, 204], None),
        ([204, 401], "answered 401 (the webhook's secret differs)"),
        ([502], "answered 502"),
        ([0], "not answered"),
    ],
)
async def test_what_became_of_the_last_delivery_is_a_remark(github, app, answered, said):
    github.registered.hook_url = HOOK
    github.registered.answered = answered
    remarks = (await examine(app, hook_url=HOOK)).remarks
    moment = "its last delivery, at 2026-11-28T09:00:00Z, was"
    assert remarks == (() if said is None else (f"{moment} {said}",))
