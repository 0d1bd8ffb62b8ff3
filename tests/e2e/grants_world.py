"""An installation with every kind of grant, and all who issue one: each knows what it gave out."""

import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import hvac
import psycopg

from adapters.vault.importing import import_rsa_key
from adapters.vault.prepare import OWN_POLICY, Names, prepare
from tests.e2e.installation import Installation, make_repository
from tests.e2e.snapshots import Issued
from tests.fakes import git_server
from tests.fakes.github import FakeGitHub
from tests.fakes.github.program import Emulator
from tests.fakes.gitlab.server import FakeGitLab
from tests.fakes.gitlab.world import MAINTAINER
from tests.support.aside import aside
from tests.support.openbao import OpenBao, openbao_server
from tests.support.postgres import TestServer

KEY = "sk-canary-of-a-provider-4721"
VALUE = "canary-of-a-registry-4722"
OURS = "glpat-canary-of-settings-4723"
INNER, OUTER = "inner.example.org", "outer.example.org"
SETTINGS = f"""
[agents]
default = "shell"
installed = []
[models.own]
format = "openai"
url = "UPSTREAM"
key = "{KEY}"
"""
POLICY = f"""
[routes.npm]
url = "UPSTREAM/npm"
[routes.hub]
url = "UPSTREAM/hub"

[grants.npm]
kind = "kv"
mode = "injected"
route = "npm"
headers = {{ Authorization = "Bearer {{value}}" }}
options = {{ path = "projects/shop/NPM" }}

[grants.hub]
kind = "github"
mode = "injected"
route = "hub"
headers = {{ Authorization = "Bearer {{token}}" }}
options = {{ repositories = ["HUB"], permissions = {{ contents = "read" }} }}

[grants.inner]
kind = "identity"
mode = "injected"
route = "/identity/{INNER}"
headers = {{ Authorization = "Bearer {{token}}" }}
options = {{ audience = "{INNER}" }}

[grants.outer]
kind = "identity"
mode = "handed"
options = {{ audience = "{OUTER}" }}

[grants.db]
kind = "database"
mode = "handed"
options = {{ role = "shop-app" }}

[grants.login]
kind = "ssh"
mode = "handed"
options = {{ role = "shop-login" }}
"""


@contextmanager
def upstream(gate: threading.Event) -> Iterator[tuple[str, set[str]]]:
    """Answers everything; the address, and by which credentials it was asked.

    :param gate: until then `…/gate` is not there
    """
    shown: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.add(self.headers.get("Authorization", ""))
            self.send_response(200 if gate.is_set() or not self.path.endswith("/gate") else 404)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"{}\n")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", shown
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def hub(emulator: Emulator) -> AsyncIterator[tuple[FakeGitHub, str]]:
    """A GitHub, and the name of the repository there for which tokens are asked."""
    async with FakeGitHub(emulator) as github:
        made = await github.repository("shop", private=True)
        yield github, made.name


@dataclass(kw_only=True)
class World:
    """All that issues something, and an installation that asks it."""

    ona: Installation
    bao: OpenBao
    postgres: TestServer
    github: FakeGitHub
    gitlab: FakeGitLab
    bare: Path
    foreign: Path
    """A repository beside it that is none of the project's."""
    shown: set[str]
    gate: threading.Event
    """Lets the turn go on that asks for it."""
    own_token: str
    """What the installation logs in to Vault with."""

    def issued(self) -> Issued:
        """By Vault, until now."""
        return Issued.read(self.bao.audit_file, "shop", INNER, OUTER)

    def branches(self, bare: Path | None = None) -> dict[str, str]:
        """:param bare: of which repository; the project's own one"""
        where = str(bare or self.bare)
        words = ["git", "-C", where, "for-each-ref", "--format=%(refname) %(objectname)"]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        return dict(line.split() for line in said.splitlines())

    def knows(self, token: str) -> bool:
        """Whether Vault does."""
        try:
            self.bao.client(token).auth.token.lookup_self()
        except hvac.exceptions.Forbidden:
            return False
        return True

    def lets_in(self, user: str, password: str) -> bool:
        """Whether the database does."""
        try:
            psycopg.connect(place_of(self.postgres), user=user, password=password).close()
        except psycopg.OperationalError as error:
            return "does not exist" not in str(error)
        return True


def place_of(postgres: TestServer) -> str:
    """How it is reached, without a user."""
    (socket,) = parse_qs(urlsplit(postgres.url_of("postgres")).query)["host"]
    return f"host={socket} dbname=postgres"


def set_up(bao: OpenBao, postgres: TestServer, key: str) -> str:
    """Roles and keys in Vault; a token for ona."""
    root = bao.client()
    prepare(root, Names())
    import_rsa_key(root, "ona-github", key)
    root.secrets.database.configure(
        "pg",
        plugin_name="postgresql-database-plugin",
        allowed_roles="*",
        connection_url=f"{place_of(postgres)} user={{{{username}}}}",
        username="postgres",
        password="unused",
    )
    made = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"
    root.secrets.database.create_role(
        "shop-app", db_name="pg", creation_statements=[made], default_ttl="60s", max_ttl="15m"
    )
    root.write_data("ssh/config/ca", data={"generate_signing_key": True, "key_type": "ed25519"})
    role = {"key_type": "ca", "allow_user_certificates": True, "allowed_users": "*"}
    root.write_data("ssh/roles/shop-login", data=role)
    own = root.auth.token.create(
        policies=[OWN_POLICY], no_parent=True, no_default_policy=True, period="1h"
    )
    return str(own["auth"]["client_token"])


@contextmanager
def world_of(tmp_path: Path, postgres: TestServer, emulator: Emulator) -> Iterator[World]:
    """All of it, in a directory."""
    bare, foreign = (tmp_path / "git" / "acme" / f"{name}.git" for name in ("shop", "foreign"))
    bare.parent.mkdir(parents=True)
    first, gate = make_repository(tmp_path / "first"), threading.Event()
    for one in (bare, foreign):
        subprocess.run(["git", "clone", "-q", "--bare", str(first), str(one)], check=True)
        subprocess.run(["git", "-C", str(one), "config", "http.receivepack", "true"], check=True)
    with ExitStack() as stack:
        loop = stack.enter_context(aside())
        gitlab = loop.enter(stack, FakeGitLab())
        github, repository = loop.enter(stack, hub(emulator))
        bao = stack.enter_context(openbao_server(says_all=True))
        own, shown = stack.enter_context(upstream(gate))
        us = gitlab.person("ona", is_bot=True)
        us.token = OURS
        project = gitlab.project("acme/shop", {us: MAINTAINER})

        def lets_in(given: str) -> bool:
            return given in {f"oauth2:{one.token}" for one in [us, *project.tokens]}

        place = git_server.serve(tmp_path / "git", lets_in, api=gitlab.url)
        url = f"http://{stack.enter_context(place)}"
        token_file = tmp_path / "vault-token"
        own_token = set_up(bao, postgres, github.private_key)
        token_file.write_text(own_token)
        nowhere = tmp_path / "nowhere"
        nowhere.mkdir()
        (tmp_path / "ona.toml").write_text(SETTINGS.replace("UPSTREAM", own))
        ona = Installation(
            data=tmp_path / "data",
            # Where there is no repository nothing is asked by itself.
            repository=nowhere,
            step_seconds_max=1800.0,
            settings={
                "ONA_CONFIG": str(tmp_path / "ona.toml"),
                "ONA_MACHINE__IDLE_SECONDS": "25",
                "ONA_MACHINE__BOOT_SECONDS": "500",
                "ONA_VAULT__ADDRESS": bao.address,
                "ONA_VAULT__TOKEN_FILE": str(token_file),
                "ONA_VAULT__GITHUB_KEY": "ona-github",
                "ONA_GITHUB__APP_ID": str(github.app.id),
                "ONA_GITHUB__URL": github.url,
                "ONA_GITHUB__API_URL": github.url,
                "ONA_GITLAB__URL": url,
                "ONA_GITLAB__TOKEN": us.token,
            },
        )
        stack.callback(ona.end)
        ona.start()
        ona.until_ready()
        new = {"name": "shop", "repository_url": f"{url}/acme/shop.git"}
        ona.request("POST", "/projects", json=new)
        ona.request("PUT", "/projects/shop/secrets/NPM", json={"value": VALUE})
        source = POLICY.replace("UPSTREAM", own).replace("HUB", repository)
        policy = {"name": "shop.toml", "source": source}
        ona.request("PUT", "/projects/shop/policy", json=policy)
        yield World(
            ona=ona,
            bao=bao,
            postgres=postgres,
            github=github,
            gitlab=gitlab,
            bare=bare,
            foreign=foreign,
            shown=shown,
            gate=gate,
            own_token=own_token,
        )
