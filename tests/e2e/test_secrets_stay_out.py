"""A private repository is cloned and pushed by a machine that never sees the token."""

import base64
import mmap
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, make_repository
from tests.fakes import git_server
from vmpool.network import slots

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(slots.missing()), reason=f"no network slots: {slots.missing()}"),
]
TOKEN = "glpat-7f3k9q2w8e5r1t6y"
BASIC = base64.b64encode(f"oauth2:{TOKEN}".encode()).decode()
MARK = "a-word-that-only-memory-knows"
POLICY = """
[grants.fetch]
kind = "kv"
mode = "injected"
route = "/forge/gitlab/"
headers = { Authorization = "Basic {value}" }
options = { path = "projects/shop/FORGE" }

[grants.push]
kind = "kv"
mode = "injected"
route = "/forge/gitlab/push"
headers = { Authorization = "Basic {value}" }
options = { path = "projects/shop/FORGE" }
"""


@pytest.fixture(scope="module")
def forge(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    root = tmp_path_factory.mktemp("forge")
    make_repository(root / "first")
    bare = root / "git" / "acme" / "shop.git"
    bare.parent.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(root / "first"), str(bare)], check=True)
    subprocess.run(["git", "-C", str(bare), "config", "http.receivepack", "true"], check=True)
    with git_server.serve(root / "git", f"oauth2:{TOKEN}") as where:
        yield f"http://{where}", bare


@pytest.fixture(scope="module")
def ona(tmp_path_factory, forge):
    url, _ = forge
    directory = tmp_path_factory.mktemp("e2e")
    installation = Installation(
        data=directory / "data",
        repository=make_repository(directory / "demo"),
        settings={
            "ONA_MACHINE__IDLE_SECONDS": "25",
            "ONA_VAULT__EMBEDDED": "true",
            "ONA_GITLAB__URL": url,
            "ONA_GITLAB__TOKEN": TOKEN,
        },
    )
    installation.start()
    try:
        installation.until_ready()
        installation.request(
            "POST", "/projects", json={"name": "shop", "repository_url": f"{url}/acme/shop.git"}
        )
        installation.request("PUT", "/projects/shop/secrets/FORGE", json={"value": BASIC})
        installation.request(
            "PUT", "/projects/shop/policy", json={"name": "shop.toml", "source": POLICY}
        )
        yield installation
    finally:
        installation.end()


def branches(bare: Path) -> dict[str, str]:
    words = ["git", "-C", str(bare), "for-each-ref", "--format=%(refname) %(objectname)"]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return dict(line.split() for line in said.splitlines())


def holding(root: Path, secret: str) -> list[Path]:
    """The files in which a secret is, whole."""
    found = []
    for path in root.rglob("*"):
        if not path.is_file() or path.is_symlink() or not path.stat().st_size:
            continue
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held,
        ):
            if held.find(secret.encode()) >= 0:
                found.append(path)
    return found


def test_a_machine_clones_and_pushes_a_private_repository_and_its_rest_holds_no_token(ona, forge):
    _, bare = forge
    commit = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m"
    late = "sleep 8; git push origin HEAD:refs/heads/ona/$ONA_SESSION-late"
    script = "\n".join(
        [
            "!set -e",
            "git log -1 --format=%s",
            f"{commit} two",
            "git fetch -q origin && echo fetched",
            "git push -q origin HEAD && echo pushed",
            "git push origin HEAD:refs/heads/main 2>&1 || true",
            "env | grep -c glpat || true",
            f"export {MARK.upper().replace('-', '_')}={MARK}",
            f"(({late}) > /tmp/late 2>&1 &) </dev/null >/dev/null 2>&1",
        ]
    )
    accepted = ona.request(
        "POST", "/prompts", json={"text": script, "new": True, "project": "shop"}
    )
    events = ona.wait(accepted)
    said = "".join(one["body"]["text"] for one in events if one["kind"] == "output")
    assert events[-1]["body"]["outcome"] == "succeeded", said
    assert "First\nfetched\npushed\n" in said
    assert "[remote rejected]" in said
    assert "is protected" in said
    session = accepted["session"]
    assert set(branches(bare)) == {"refs/heads/main", f"refs/heads/ona/{session}"}

    # What one turn left running may nothing between turns: nobody asks while it tries.
    time.sleep(14)
    late = ona.run("!until [ -s /tmp/late ]; do sleep 1; done; sleep 3; cat /tmp/late", session)
    assert "409" in late.output or "No turn is running" in late.output, late.output
    assert f"refs/heads/ona/{session}-late" not in branches(bare)

    ona.run(f"!(exec -a {MARK} sleep 1000) & disown; echo {MARK} > /dev/shm/mark", session)
    ona.until_resting(session)
    machines = ona.data / "host"
    assert holding(machines, MARK), "what is in the machine's memory is found"
    assert holding(machines, TOKEN) == []
    assert holding(machines, BASIC) == []
    assert holding(ona.data / "logs", TOKEN) == []
    assert holding(ona.data / "logs", BASIC) == []
    assert TOKEN not in ona.said()
