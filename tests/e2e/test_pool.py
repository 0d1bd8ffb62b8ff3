"""Templates and pools of the whole product: set up once, handed out, brought up to date."""

import subprocess

import pytest

from tests.e2e.installation import Installation, make_repository

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def ona(tmp_path):
    installation = Installation(
        data=tmp_path / "data",
        repository=make_repository(tmp_path / "demo"),
        settings={"ONA_POOL__ENABLED": "true"},
    )
    installation.start()
    try:
        installation.until_ready()
        yield installation
    finally:
        installation.end()


def template(ona: Installation, state: str) -> dict[str, object] | None:
    """The newest template, if it is in this state."""
    templates = ona.request("GET", "/templates")["templates"]
    return templates[0] if templates and templates[0]["state"] == state else None


def test_a_session_gets_a_machine_that_was_set_up_before_and_holds_the_newest_commit(ona):
    failing = {"setup": ["echo tried > built", "exit 3"]}
    ona.request("PATCH", "/projects/demo", json=failing)
    failed = ona.until(lambda: template(ona, "failed"), "a build that fails")
    assert failed["note"] == "`exit 3` ended with status 3"
    assert ona.run("!echo still here").output == "still here\n", "booted instead"

    service = "while :; do date +%s > /tmp/served; sleep 1; done"
    changes = {"setup": ["pwd > built"], "start": [service]}
    ona.request("PATCH", "/projects/demo", json=changes)
    built = ona.until(lambda: template(ona, "ready"), "a template")
    log = ona.request("GET", f"/templates/{built['id']}")["steps"]
    steps = ["boot", "repository", "pwd > built", f"start: {service}", "freeze"]
    assert [step["step"] for step in log] == steps

    def filled() -> bool:
        pools = ona.request("GET", "/pools")["pools"]
        return bool(pools) and pools[0]["hot"] == 1

    ona.until(filled, "a hot machine")
    git = ["git", "-C", str(ona.repository), "-c", "user.name=Ann", "-c", "user.email=ann@demo"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "newest"], check=True)
    asked = ona.run("!cat built; git log -1 --format=%s; git branch --show-current; git status -s")
    assert asked.outcome == "succeeded", asked
    assert asked.output.split("\n")[:-1] == [
        "/work/demo",
        "newest",
        f"ona/{asked.session}",
        "?? built",
    ]
    assert (
        ona.run("!sleep 2; test $(($(date +%s) - $(cat /tmp/served))) -lt 3").body["exit_status"]
        == 0
    ), "the service runs on"
    (pool,) = ona.request("GET", "/pools")["pools"]
    assert pool["hits"] >= 1
    assert pool["seconds_hot"] < pool["seconds_boot"]
