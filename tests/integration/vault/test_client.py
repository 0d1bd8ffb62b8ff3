"""Our own login: it lasts, comes again when it ended, and says what is wrong."""

import asyncio
import time
from pathlib import Path

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from adapters.vault import errors
from adapters.vault.client import Vault
from adapters.vault.logins import by_approle, by_jwt, by_kubernetes, by_token_file
from adapters.vault.prepare import OWN_POLICY
from tests.integration.vault.conftest import Place, soon
from tests.support.gateway import certificates
from tests.support.openbao import openbao_server
from tests.support.serving import served


def policies(client):
    return client.auth.token.lookup_self()["data"]["policies"]


async def test_a_token_file_is_read_again_when_its_token_has_ended(place: Place):
    assert await place.vault.run(policies, soon()) == [OWN_POLICY]
    place.root.auth.token.revoke(place.token_file.read_text())
    place.token_file.write_text(place.own_token(period="1h"))
    assert await place.vault.run(policies, soon()) == [OWN_POLICY]


async def test_an_ended_token_without_another_one_is_expired(place: Place):
    place.root.auth.token.revoke(place.token_file.read_text())
    with pytest.raises(errors.Expired, match="does not let us log in"):
        await place.vault.run(policies, soon())
    place.token_file.unlink()
    with pytest.raises(errors.Expired, match="vault-token: No such file"):
        await place.vault.run(policies, soon())


async def test_what_a_policy_does_not_permit_is_forbidden_and_named(place: Place):
    with pytest.raises(errors.Forbidden, match=r"does not permit .*sys/mounts"):
        await place.vault.run(lambda client: client.sys.list_mounted_secrets_engines(), soon())


async def test_what_is_not_there_is_missing(place: Place):
    with pytest.raises(errors.Missing, match="identity/entity/name/ona-nobody"):
        await place.vault.run(
            lambda client: client.secrets.identity.read_entity_by_name("ona-nobody"), soon()
        )


async def test_approle_logs_in_and_renews_at_a_third_of_its_life(place: Place, tmp_path: Path):
    place.root.sys.enable_auth_method("approle")
    place.root.auth.approle.create_or_update_approle(
        "ona", token_policies=[OWN_POLICY], token_ttl="3s", token_period="3s"
    )
    role_id = place.root.auth.approle.read_role_id("ona")["data"]["role_id"]
    secret = tmp_path / "secret-id"
    secret.write_text(place.root.auth.approle.generate_secret_id("ona")["data"]["secret_id"])
    vault = Vault(place.server.address, by_approle(role_id, secret), namespace=place.namespace)
    first = (await vault.examine(soon()))["accessor"]
    keeping = asyncio.create_task(vault.keep())
    try:
        await asyncio.sleep(4)
        kept = await vault.examine(soon())
        assert kept["accessor"] == first
        assert kept["ttl"] >= 1
    finally:
        keeping.cancel()
    await vault.close()
    # Nobody else has it, so it ends with us.
    with pytest.raises(Exception, match="invalid accessor"):
        place.root.auth.token.lookup_accessor(first)


async def test_a_token_that_nears_its_maximum_is_followed_by_a_new_login(
    place: Place, tmp_path: Path
):
    place.root.sys.enable_auth_method("approle")
    place.root.auth.approle.create_or_update_approle(
        "ona", token_policies=[OWN_POLICY], token_ttl="3s", token_max_ttl="4s"
    )
    role_id = place.root.auth.approle.read_role_id("ona")["data"]["role_id"]
    secret = tmp_path / "secret-id"
    secret.write_text(place.root.auth.approle.generate_secret_id("ona")["data"]["secret_id"])
    vault = Vault(place.server.address, by_approle(role_id, secret), namespace=place.namespace)
    first = (await vault.examine(soon()))["accessor"]
    keeping = asyncio.create_task(vault.keep())
    try:
        await asyncio.sleep(5)
        assert (await vault.examine(soon()))["accessor"] != first
    finally:
        keeping.cancel()
        await vault.close()


async def test_a_wrong_secret_id_is_expired(place: Place, tmp_path: Path):
    place.root.sys.enable_auth_method("approle")
    place.root.auth.approle.create_or_update_approle("ona", token_policies=[OWN_POLICY])
    role_id = place.root.auth.approle.read_role_id("ona")["data"]["role_id"]
    secret = tmp_path / "secret-id"
    secret.write_text("wrong")
    vault = Vault(place.server.address, by_approle(role_id, secret), namespace=place.namespace)
    with pytest.raises(errors.Expired):
        await vault.run(policies, soon())
    await vault.close()


async def test_jwt_logs_in(place: Place, tmp_path: Path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    place.root.sys.enable_auth_method("jwt")
    place.root.auth.jwt.configure(jwt_validation_pubkeys=[public.decode()])
    place.root.auth.jwt.create_role(
        "ona",
        role_type="jwt",
        user_claim="sub",
        bound_audiences=["vault"],
        allowed_redirect_uris=[],
        token_policies=[OWN_POLICY],
    )
    token = tmp_path / "jwt"
    now = int(time.time())
    token.write_text(
        jwt.encode({"sub": "us", "aud": "vault", "iat": now, "exp": now + 60}, key, "RS256")
    )
    vault = Vault(place.server.address, by_jwt("ona", token), namespace=place.namespace)
    assert OWN_POLICY in await vault.run(policies, soon())
    await vault.close()


REVIEWER = "the-reviewers-token"


def cluster(known: str) -> web.Application:
    """A Kubernetes with one token of a service account, which it tells who may ask."""

    async def review(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {REVIEWER}"
        asked = await request.json()
        user = {"username": "system:serviceaccount:prod:ona", "uid": "u-1"}
        good = {"authenticated": True, "user": user}
        status = good if asked["spec"]["token"] == known else {"authenticated": False}
        return web.json_response({**asked, "status": status}, status=201)

    made = web.Application()
    made.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", review)
    return made


async def test_kubernetes_logs_in(place: Place, tmp_path: Path):
    account = {"namespace": "prod", "serviceaccount": {"name": "ona", "uid": "u-1"}}
    claims = {"sub": "system:serviceaccount:prod:ona", "kubernetes.io": account}
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    known, stranger = (
        jwt.encode({**claims, "exp": int(time.time()) + 60, "n": number}, key, "RS256")
        for number in range(2)
    )
    token = tmp_path / "token"
    async with served(cluster(known)) as address:
        place.root.sys.enable_auth_method("kubernetes")
        place.root.auth.kubernetes.configure(
            kubernetes_host=address,
            # It wants one, though nothing is asked of it by http.
            kubernetes_ca_cert=certificates(tmp_path, "cluster.test").authority.read_text(),
            token_reviewer_jwt=REVIEWER,
            disable_local_ca_jwt=True,
        )
        place.root.auth.kubernetes.create_role("ona", ["ona"], ["prod"], policies=[OWN_POLICY])
        for said, lets_in in ((known, True), (stranger, False)):
            token.write_text(said)
            login = by_kubernetes("ona", token)
            vault = Vault(place.server.address, login, namespace=place.namespace)
            if lets_in:
                assert OWN_POLICY in await vault.run(policies, soon())
            else:
                with pytest.raises(errors.Expired):
                    await vault.run(policies, soon())
            await vault.close()


async def test_sealed_killed_and_back(tmp_path: Path):
    with openbao_server(durable=True) as server:
        token_file = tmp_path / "token"
        token_file.write_text(server.root_token)
        vault = Vault(server.address, by_token_file(token_file))
        assert await vault.run(policies, soon()) == ["root"]
        server.seal()
        with pytest.raises(errors.Sealed):
            await vault.run(policies, soon())
        server.unseal()
        assert await vault.run(policies, soon()) == ["root"]
        server.kill()
        with pytest.raises(errors.Unreachable):
            await vault.run(policies, soon())
        server.start()
        assert await vault.run(policies, soon()) == ["root"]
        await vault.close()


async def test_a_silent_server_is_given_up_at_the_deadline():
    async def silent(reader, writer):
        await reader.read()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    hung_up = asyncio.Event()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    vault = Vault(f"http://127.0.0.1:{port}", lambda client: client.auth.token.lookup_self())
    began = time.monotonic()
    with pytest.raises(errors.Unreachable):
        await vault.run(policies, soon(0.5))
    assert time.monotonic() - began < 2
    await vault.close()
    await hung_up.wait()
    server.close()
