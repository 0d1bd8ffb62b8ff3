"""The OpenBao that `ona up` brings: made once, open after each start, mended after each kill."""

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import hvac
import pytest
import requests

from bot.errors import Unfit
from bot.openbao import embedded as module
from bot.openbao import server
from bot.openbao.admin import Admin
from bot.openbao.embedded import EmbeddedOpenBao, Running
from bot.openbao.files import Files

POLICY = 'path "secret/data/*" { capabilities = ["create", "update", "read"] }'


def prepare(client: hvac.Client) -> None:
    if "secret/" not in client.sys.list_mounted_secrets_engines()["data"]:
        client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    client.sys.create_or_update_policy(
        "ours", POLICY + '\npath "auth/token/renew-self" { capabilities = ["update"] }'
    )


def made(directory: Path, **more) -> EmbeddedOpenBao:
    return EmbeddedOpenBao(directory, prepare, policy="ours", **more)


def client_of(running: Running) -> hvac.Client:
    session = requests.Session()
    session.trust_env = False
    session.verify = str(running.ca_file)
    token = running.token_file.read_text().strip()
    return hvac.Client(url=running.address, token=token, session=session, verify=session.verify)


async def put(running: Running, value: str, path: str = "a") -> None:
    kv = client_of(running).secrets.kv.v2
    for _ in range(100):
        try:
            await asyncio.to_thread(kv.create_or_update_secret, path, {"it": value})
        except hvac.exceptions.InvalidRequest:  # the engine is being upgraded to version 2
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the engine does not take it")


async def got(running: Running, path: str = "a") -> str:
    kv = client_of(running).secrets.kv.v2
    found = await asyncio.to_thread(kv.read_secret_version, path, raise_on_deleted_version=True)
    return str(found["data"]["data"]["it"])


@asynccontextmanager
async def up(directory: Path, **more) -> AsyncIterator[tuple[EmbeddedOpenBao, Running]]:
    bao = made(directory, **more)
    try:
        yield bao, await bao.start()
    finally:
        await bao.stop()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A directory in which one was made and stopped; tests take copies."""
    directory = tmp_path_factory.mktemp("made") / "openbao"

    async def make() -> None:
        async with up(directory) as (_, running):
            await put(running, "kept")

    asyncio.run(make())
    return directory


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "openbao"))


async def test_what_was_kept_is_there_after_the_next_start_and_ours_alone_to_read(copy: Path):
    token = (copy / "token").read_text()
    async with up(copy) as (_, running):
        assert await got(running) == "kept"
        assert running.token_file.read_text() == token, "the grants of open turns hang on it"
        files = [path for path in copy.rglob("*") if path.is_file()]
        names = {one.name for one in files}
        assert {"keys", "token", "tls.key", "audit.log", "server.hcl"} <= names
        closed = [one for one in files if one.name not in {"pid", "raft.db", "log"}]
        assert {stat.S_IMODE(one.stat().st_mode) for one in closed} == {0o600}
        assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    assert server.running(Files(copy)) is None


async def test_our_token_may_what_its_policy_says_and_no_root_token_is_left(copy: Path):
    async with up(copy) as (_, running):
        client = client_of(running)
        with pytest.raises(hvac.exceptions.Forbidden):
            await asyncio.to_thread(client.sys.list_mounted_secrets_engines)
        key = Files(copy).unseal_key()
        admin = Admin(module.choose_socket_dir(copy) / server.SOCKET_NAME)
        async with admin.root(key) as root:
            client.token = root
            tokens = client.auth.token
            accessors = (await asyncio.to_thread(tokens.list_accessors))["data"]["keys"]
            found = [await asyncio.to_thread(tokens.lookup_accessor, one) for one in accessors]
            policies = [one["data"]["policies"] for one in found]
        assert sorted(policies) == [["ours"], ["root"]], "ours, and the one that looks just now"
        assert key not in "".join(
            path.read_text(errors="replace")
            for path in copy.rglob("*")
            if path.is_file() and path.name not in {"keys", "vault.db", "raft.db"}
        )


async def test_no_root_token_can_be_asked_for_where_others_reach_it(copy: Path):
    async with up(copy) as (_, running):
        answer = await asyncio.to_thread(
            requests.put,
            f"{running.address}/v1/sys/generate-root/attempt",
            json={},
            verify=str(running.ca_file),
            timeout=10,
        )
        assert answer.status_code == 405 or "unsupported" in answer.text, answer.text


async def test_every_request_is_in_the_audit_file_without_its_value(copy: Path):
    async with up(copy, audit_bytes_max=4000) as (bao, running):
        await put(running, "a value that must not be written")
        lines = (copy / "audit.log").read_text().splitlines()
        assert any(json.loads(line)["request"]["path"] == "secret/data/a" for line in lines)
        for _ in range(40):
            await got(running)
            bao._rotate()
            await asyncio.sleep(0.02)
        kept = [copy / "audit.log", copy / "audit.old.log"]
        assert all("must not be written" not in path.read_text() for path in kept)
        assert sum(path.stat().st_size for path in kept) < 100_000
        before = kept[1].stat().st_size
        await got(running)
        assert kept[1].stat().st_size == before, "it writes to the new file"


@pytest.mark.parametrize("left", ["nothing but a directory", "a storage without its key", "whole"])
async def test_a_making_that_was_killed_is_begun_anew(whole: Path, tmp_path: Path, left: str):
    directory = tmp_path / "openbao"
    making = directory / "data.new"
    making.mkdir(parents=True)
    if left != "nothing but a directory":
        shutil.copytree(whole / "data", making, dirs_exist_ok=True)
    if left == "a storage without its key":
        (making / "keys").unlink()
    async with up(directory) as (_, running):
        assert not making.exists()
        await put(running, "new")
        assert await got(running) == "new"


async def test_a_start_that_was_killed_at_any_moment_is_mended_by_the_next(tmp_path: Path):
    directory = tmp_path / "openbao"
    for seconds in (0.1, 0.4, 0.8, 1.2):
        bao = made(directory)
        starting = asyncio.create_task(bao.start())
        await asyncio.sleep(seconds)
        starting.cancel()
        await asyncio.wait({starting})
        pid = server.running(Files(directory))
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    async with up(directory) as (_, running):
        await put(running, "it works")
        assert await got(running) == "it works"


async def test_what_is_missing_in_it_is_made_by_the_next_start(copy: Path):
    async with up(copy):
        admin = Admin(module.choose_socket_dir(copy) / server.SOCKET_NAME)
        async with admin.root(Files(copy).unseal_key()) as root:
            await admin._ask("DELETE", "sys/policies/acl/ours", token=root)
            await admin._ask("DELETE", "sys/mounts/secret", token=root)
            token = (copy / "token").read_text().strip()
            await admin._ask("POST", "auth/token/revoke", {"token": token}, token=root)
    async with up(copy) as (_, running):
        assert running.token_file.read_text().strip() != token
        await put(running, "again")
        assert await got(running) == "again"


async def test_a_killed_server_is_started_again_at_the_same_address(
    copy: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.05)
    async with up(copy) as (bao, running):
        pid = server.running(Files(copy))
        assert pid is not None
        async with bao.kept():
            os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(30):
                while True:
                    try:
                        assert await got(running) == "kept"
                        break
                    except (requests.ConnectionError, hvac.exceptions.VaultError):
                        await asyncio.sleep(0.1)
        assert server.running(Files(copy)) not in {None, pid}


async def test_one_that_an_earlier_process_left_behind_is_ended_first(copy: Path):
    left = await made(copy).start()
    pid = server.running(Files(copy))
    async with up(copy) as (_, running):
        assert await got(running) == "kept"
        assert server.running(Files(copy)) != pid
        with pytest.raises(requests.ConnectionError):
            await got(left)


async def test_what_was_sealed_stays_sealed_until_the_next_start(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.05)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    async with up(copy) as (bao, running):
        admin = Admin(module.choose_socket_dir(copy) / server.SOCKET_NAME)
        key = Files(copy).unseal_key()
        async with bao.kept(), admin.root(key) as root:
            await admin._ask("PUT", "sys/seal", {}, token=root)
            with pytest.raises(hvac.exceptions.VaultDown):
                await got(running)
            await asyncio.sleep(0.5)
            assert (await admin.status() or {})["sealed"], "the keeper opens nothing"
            await admin.unseal(key)
    assert "openbao_sealed" in capsys.readouterr().out
    async with up(copy) as (_, running):
        assert await got(running) == "kept"


async def test_a_taken_port_is_another_one_next_time_and_an_error_while_it_is_kept(
    copy: Path, monkeypatch: pytest.MonkeyPatch
):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        free = server.free_ports()
        choices = [server.Ports(api=port, cluster=free.cluster), server.free_ports()]
        monkeypatch.setattr(server, "free_ports", lambda: choices.pop(0))
        async with up(copy) as (bao, running):
            assert await got(running) == "kept"
            await bao.stop()
            bao._ports = server.Ports(api=port, cluster=free.cluster)
            with pytest.raises(Unfit, match=f"port {port} of the embedded OpenBao was taken"):
                await bao.start()


async def test_a_storage_that_another_process_has_open_is_said_so(copy: Path, tmp_path: Path):
    async with up(copy):
        other = tmp_path / "other"
        other.mkdir()
        (other / "data").symlink_to(copy / "data")
        with pytest.raises(Unfit, match="another process has the storage"):
            await made(other).start()


async def test_a_missing_key_is_no_reason_to_begin_anew(copy: Path):
    (copy / "data" / "keys").unlink()
    with pytest.raises(Unfit, match="can't be read") as refused:
        await made(copy).start()
    assert "bring" in refused.value.do
    assert (copy / "data" / "store" / "vault.db").exists()


async def test_a_foreign_key_is_said_so(copy: Path, tmp_path: Path):
    (copy / "data" / "keys").write_text(json.dumps({"unseal": "A" * 43 + "="}))
    with pytest.raises(Unfit, match="does not open the storage"):
        await made(copy).start()
    assert server.running(Files(copy)) is None


async def test_a_program_that_listens_in_its_place_gets_nothing(copy: Path, tmp_path: Path):
    """Whoever takes the port proves nothing: our certificate is the only one that counts."""
    async with up(tmp_path / "foreign") as (_, foreign), up(copy) as (_, running):
        with pytest.raises(requests.exceptions.SSLError):
            await got(
                Running(
                    address=foreign.address,
                    ca_file=running.ca_file,
                    token_file=running.token_file,
                )
            )
