"""What is injected never is in a machine, and what was handed to one works no more when it rests.

A real `ona up` and a real machine, with every kind of grant. What Vault issued is known by an audit
file of its own that hides nothing, what code hosts and providers were shown by themselves.
"""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

from tests.e2e.grants_world import INNER, KEY, OURS, OUTER, VALUE, World, world_of
from tests.e2e.snapshots import Issued, halves, holding, read_back, spellings
from tests.fakes.github.program import Emulator
from tests.support.postgres import TestServer
from vmpool.network import slots

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(bool(slots.missing()), reason=f"no network slots: {slots.missing()}"),
]
MARKS = {
    where: hashlib.sha256(f"known {where} alone".encode()).hexdigest()
    for where in ("in memory", "on disk")
}
"""What only the machine has made out: nothing that it was told has them in it."""
CERTIFICATE_SECONDS_MAX = 660
"""Ten minutes, and Vault's leeway for clocks before them."""
STEAL = """
cp -r $ONA_GRANTS /tmp/stolen; sync
export USER_OF=stolen-user=$(cat $ONA_GRANTS/db/username)=$(cat $ONA_GRANTS/db/password)=
export TOKEN_OF=stolen-token=$(cat $ONA_GRANTS/outer/token)=
(sleep 1000 </dev/null >/dev/null 2>&1 &)
"""
PLANT = """!
mark() { printf %s "known $1 alone" | sha256sum | cut -d ' ' -f 1; }
mark 'in memory' > /dev/shm/mark
mark 'on disk' > ~/mark
stat -f -c %T /dev/shm ~
sync
"""


@pytest.fixture
def world(tmp_path: Path, postgres: TestServer, github_emulator: Emulator) -> Iterator[World]:
    with world_of(tmp_path, postgres, github_emulator) as made:
        yield made


def worked(world: World) -> str:
    """A session that cloned, pushed, used all it was given, stole what it could, and rests."""
    ona = world.ona
    commit = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m"
    asked = "curl -sS http://gateway.ona"
    push = "git push origin HEAD:refs/heads/ona/$ONA_SESSION-late"
    # Before a turn ends it is without its grants for a moment, and is told another reason.
    ended = f"{asked}/upstream/npm/x 2>&1 | grep -q 'No turn is running'"
    late = f"until {ended}; do sleep 1; done; {push}"
    script = "\n".join(
        [
            "!set -e",
            "git log -1 --format=%s",
            f"{commit} two",
            "git fetch -q origin && echo fetched",
            "git push -q origin HEAD && echo pushed",
            "git push origin HEAD:refs/heads/main 2>&1 || true",
            "foreign=$(git remote get-url origin | sed s,/shop,/foreign,)",
            "git push $foreign HEAD:refs/heads/ona/$ONA_SESSION 2>&1 || true",
            "env | grep -c glpat || true",
            "echo handed on $(stat -f -c %T $ONA_GRANTS)",
            f"{asked}/upstream/npm/x; {asked}/upstream/hub/x; {asked}/model/own/v1/models",
            STEAL,
            f"(({late}) > /tmp/late 2>&1 &) </dev/null >/dev/null 2>&1",
            f"until {asked}/upstream/npm/gate -f -o /dev/null 2>/dev/null; do sleep 1; done",
        ]
    )
    accepted = ona.request(
        "POST", "/prompts", json={"text": script, "new": True, "project": "shop"}
    )
    users = ona.until(lambda: world.issued().users, "a user of the database")
    assert all(world.lets_in(user, "") for user in users), "while the turn runs they may"
    world.gate.set()
    events = ona.wait(accepted)
    said = "".join(one["body"]["text"] for one in events if one["kind"] == "output")
    assert events[-1]["body"]["outcome"] == "succeeded", (said, events[-1]["body"])
    assert "First\nfetched\npushed\n" in said
    assert "[remote rejected]" in said
    assert "is protected" in said
    assert "acme/foreign is none of this project's" in refused(world, "/forge/gitlab/")
    assert set(world.branches(world.foreign)) == {"refs/heads/main"}
    assert "handed on tmpfs" in said
    session = str(accepted["session"])
    assert set(world.branches()) == {"refs/heads/main", f"refs/heads/ona/{session}"}

    # What one turn left running may nothing between turns: nobody asks until it has tried.
    ona.until(lambda: "No turn is running" in refused(world, "/forge/gitlab/"), "it tried to push")
    tried = ona.run("!until [ -s /tmp/late ]; do sleep 1; done; cat /tmp/late", session)
    assert "409" in tried.output or "No turn is running" in tried.output, tried.output
    assert f"refs/heads/ona/{session}-late" not in world.branches()

    planted = ona.run(PLANT, session)
    assert planted.outcome == "succeeded"
    assert planted.output.split()[0] == "tmpfs"
    assert planted.output.split()[1] != "tmpfs"
    ona.until_resting(session)
    return session


def refused(world: World, route: str) -> str:
    """Why what was asked of a route was refused, all of it."""
    found = world.ona.request("GET", "/audit", params={"kind": "egress"})["events"]
    reasons = [one["body"].get("reason", "") for one in found if one["outcome"] == "denied"]
    return "\n".join(one for one in reasons if one.startswith(route))


def certificates(root: Path) -> Iterator[SSHCertificate]:
    """Those that were handed to turns: other principals are logins of ours."""
    for (said,) in read_back(root, rb"(ssh-ed25519-cert-v01@openssh\.com AAAA[\w+/]{300,}=*)"):
        with suppress(ValueError):  # part of it was written over
            one = load_ssh_public_identity(said.encode())
            if isinstance(one, SSHCertificate) and one.valid_principals[0].startswith(b"sess-"):
                yield one


def test_a_machine_at_rest_has_nothing_injected_and_what_was_handed_is_refused(world: World):
    worked(world)
    ona, machines, issued = world.ona, world.ona.data / "host", world.issued()
    injected = {
        "provider's key": {KEY},
        "values": issued.values,
        "tokens of Vault": issued.tokens,
        "injected identity": issued.identities[INNER],
        "GitHub": {*world.github.tokens.ever, world.github.private_key.splitlines()[5]},
        "GitLab": {*world.gitlab.issued, OURS},
    }
    used = ona.request("GET", "/audit", params={"kind": "grant.used"})["events"]
    assert {"npm", "hub", "gitlab-read", "gitlab-push"} <= {one["place"] for one in used}
    bearers = {f"Bearer {one}" for one in (KEY, VALUE)}
    assert bearers < world.shown, "they were used, outside of the machine"
    assert {f"Bearer {one}" for one in world.github.tokens.ever} & world.shown
    # Nothing that was issued works any more, wherever somebody might find it.
    assert {one for one in issued.tokens if world.knows(one)} == {world.own_token}
    assert not world.github.tokens._installed
    assert not [one for project in world.gitlab.projects for one in project.tokens]
    assert not any(world.lets_in(user, "") for user in issued.users)

    # Nothing writes any more: all that the installation keeps is searched, as it is on disk.
    ona.interrupt()
    assert ona.wait_ended() == 0
    in_memory, on_disk = ({one.name for one in holding(machines, one)} for one in MARKS.values())
    assert in_memory, "what only its memory has is found there"
    assert "disk" not in in_memory
    assert "disk" in on_disk
    handed_is_refused(world, issued)
    for kind, secrets in injected.items():
        assert secrets, kind
        for secret in secrets:
            parts = [half for one in spellings(secret) for half in halves(one)]
            assert holding(ona.data, *parts) == [], kind
            assert not any(one in ona.said() for one in parts), kind


def handed_is_refused(world: World, issued: Issued) -> None:
    """It is there, as it was stolen: whoever finds it can do nothing with it."""
    machines = world.ona.data / "host"
    users = read_back(machines, rb"stolen-user=(v-[\w-]+)=([\w-]+)=")
    assert users, "what was stolen is found"
    assert {user for user, _ in users} & issued.users
    assert not any(world.lets_in(user, password) for user, password in users)
    tokens = {one for (one,) in read_back(machines, rb"stolen-token=([\w-]+\.[\w-]+\.[\w-]+)=")}
    assert tokens & issued.identities[OUTER]
    for token in tokens & issued.identities[OUTER]:
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["aud"] == OUTER
        assert claims["exp"] - claims["iat"] <= 600
    lives = {one.valid_before - one.valid_after for one in certificates(machines)}
    assert lives
    assert max(lives) <= CERTIFICATE_SECONDS_MAX


def test_what_is_searched_for_is_found_in_every_spelling(tmp_path: Path):
    secret = "glpat-4724"
    for number, one in enumerate(spellings(secret)):
        (tmp_path / f"{number}").write_bytes(b"\0" * 5000 + one.encode() + b"\0")
        assert holding(tmp_path, one) == [tmp_path / f"{number}"]
    assert base64.b64encode(b"oauth2:glpat-4724").decode() in spellings(secret)
    assert read_back(tmp_path, rb"(gl)pat-(\d+)") == {("gl", "4724")}


@pytest.mark.parametrize("signed", ["ghs_0123456789abcdef", "of.all.0123456789abcdef"])
def test_what_is_searched_for_is_found_wherever_a_page_ends(tmp_path: Path, signed: str):
    (tmp_path / "none").write_bytes(b"of.all.and more of an issuer")
    for at in range(1, len(signed)):
        page = tmp_path / "pages"
        page.write_bytes(b"\0" * 99 + signed[:at].encode() + b"\0page 2\0" + signed[at:].encode())
        assert holding(tmp_path, *halves(signed)) == [page]
