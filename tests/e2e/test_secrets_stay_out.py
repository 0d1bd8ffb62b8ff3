"""What is injected never is in a machine, and what was handed to one works no more when it rests.

A real `ona up` and a real machine, with every kind of grant. What Vault issued is known by an audit
file of its own that hides nothing, what code hosts and providers were shown by themselves.
"""

import base64
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

from tests.e2e.grants_world import INNER, KEY, OURS, OUTER, VALUE, World, world_of
from tests.e2e.snapshots import Issued, holding, read_back, spellings
from tests.fakes.github.program import Emulator
from tests.support.postgres import TestServer
from vmpool.network import slots

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(bool(slots.missing()), reason=f"no network slots: {slots.missing()}"),
]
MARK = "a-word-that-only-memory-knows"
CERTIFICATE_SECONDS_MAX = 660
"""Ten minutes, and Vault's leeway for clocks before them."""
STEAL = """
cp -r $ONA_GRANTS /tmp/stolen; sync
export USER_OF=stolen-user=$(cat $ONA_GRANTS/db/username)=$(cat $ONA_GRANTS/db/password)=
export TOKEN_OF=stolen-token=$(cat $ONA_GRANTS/outer/token)=
(sleep 1000 </dev/null >/dev/null 2>&1 &)
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
            "env | grep -c glpat || true",
            "echo handed on $(stat -f -c %T $ONA_GRANTS)",
            f"{asked}/upstream/npm/x; {asked}/upstream/hub/x; {asked}/model/own/v1/models",
            f"export {MARK.upper().replace('-', '_')}={MARK}",
            STEAL,
            f"(({late}) > /tmp/late 2>&1 &) </dev/null >/dev/null 2>&1",
        ]
    )
    accepted = ona.request(
        "POST", "/prompts", json={"text": script, "new": True, "project": "shop"}
    )
    events = ona.wait(accepted)
    said = "".join(one["body"]["text"] for one in events if one["kind"] == "output")
    assert events[-1]["body"]["outcome"] == "succeeded", (said, events[-1]["body"])
    assert "First\nfetched\npushed\n" in said
    assert "[remote rejected]" in said
    assert "is protected" in said
    assert "handed on tmpfs" in said
    session = str(accepted["session"])
    assert set(world.branches()) == {"refs/heads/main", f"refs/heads/ona/{session}"}

    # What one turn left running may nothing between turns: nobody asks until it has tried.
    ona.until(lambda: "No turn is running" in refused(world, "/forge/gitlab/"), "it tried to push")
    tried = ona.run("!until [ -s /tmp/late ]; do sleep 1; done; cat /tmp/late", session)
    assert "409" in tried.output or "No turn is running" in tried.output, tried.output
    assert f"refs/heads/ona/{session}-late" not in world.branches()

    ona.run(f"!(exec -a {MARK} sleep 1000) & disown; echo {MARK} > /dev/shm/mark", session)
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
    ona, machines = world.ona, world.ona.data / "host"
    assert holding(machines, MARK), "what is in the machine's memory is found"
    issued = Issued.read(world.bao.audit_file, "shop", INNER, OUTER)
    injected = {
        "provider's key": {KEY},
        "values": issued.values,
        "tokens of Vault": issued.tokens,
        "injected identity": issued.identities[INNER],
        "GitHub": set(world.github.tokens.ever),
        "GitLab": {*world.gitlab.issued, OURS},
    }
    for kind, secrets in injected.items():
        assert secrets, kind
        for one in (spelled for secret in secrets for spelled in spellings(secret)):
            assert holding(machines, one) == [], kind
            assert holding(ona.data / "logs", one) == [], kind
            assert one not in ona.said(), kind
    bearers = {f"Bearer {one}" for one in (KEY, VALUE)}
    assert bearers < world.shown, "they were used, outside of the machine"
    assert {f"Bearer {one}" for one in world.github.tokens.ever} & world.shown

    # What was handed is there, as it was stolen: whoever finds it can do nothing with it.
    users = read_back(machines, rb"stolen-user=(v-[\w-]+)=([\w-]+)=")
    assert users, "what was stolen is found"
    assert {user for user, _ in users} & issued.users
    assert not any(world.lets_in(user, password) for user, password in users)
    assert not any(world.lets_in(user, "") for user in issued.users)
    tokens = {one for (one,) in read_back(machines, rb"stolen-token=([\w-]+\.[\w-]+\.[\w-]+)=")}
    assert tokens & issued.identities[OUTER]
    for token in tokens & issued.identities[OUTER]:
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["aud"] == OUTER
        assert claims["exp"] - claims["iat"] <= 600
    lives = {one.valid_before - one.valid_after for one in certificates(machines)}
    assert lives
    assert max(lives) <= CERTIFICATE_SECONDS_MAX
    used = ona.request("GET", "/audit", params={"kind": "grant.used"})["events"]
    assert {"npm", "hub", "gitlab-read", "gitlab-push"} <= {one["place"] for one in used}
    assert not world.github.tokens._installed
    assert not [one for project in world.gitlab.projects for one in project.tokens]


def test_what_is_searched_for_is_found_in_every_spelling(tmp_path: Path):
    secret = "glpat-4724"
    for number, one in enumerate(spellings(secret)):
        (tmp_path / f"{number}").write_bytes(b"\0" * 5000 + one.encode() + b"\0")
        assert holding(tmp_path, one) == [tmp_path / f"{number}"]
    assert base64.b64encode(b"oauth2:glpat-4724").decode() in spellings(secret)
    assert read_back(tmp_path, rb"(gl)pat-(\d+)") == {("gl", "4724")}
