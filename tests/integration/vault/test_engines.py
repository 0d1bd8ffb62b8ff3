"""Grants of Vault's own engines: issued with the turn's token, and refused afterwards."""

import asyncio
import subprocess
import time
from pathlib import Path

import asyncssh
import hvac.exceptions
import jwt
import pytest
import requests

from adapters.vault import errors
from adapters.vault.engines import DatabaseUsers, IdentityTokens, KvValues, SshCertificates, role_of
from adapters.vault.port import ONLY_HANDED, ONLY_INJECTED, Trail
from tests.integration.vault.conftest import Place, Postgres, bearer, signs_ssh, soon

AUDIENCE = "sts.example.org"


def secret(value) -> str:
    return value.get_secret_value()


async def test_values_are_those_of_the_project_and_in_no_repr(place: Place):
    place.root.secrets.kv.v2.create_or_update_secret(
        "projects/shop/npm", {"token": "npm-secret"}, mount_point="secret"
    )
    engine = KvValues(place.vault, "secret")
    assert engine.modes == ONLY_INJECTED
    issued = await engine.issue(await place.request("kv", name="npm"), soon())
    assert secret(issued.values["token"]) == "npm-secret"
    assert "npm-secret" not in repr(issued)
    foreign = await place.request("kv", path="projects/bank/npm")
    with pytest.raises(errors.Forbidden):
        await engine.issue(foreign, soon())
    with pytest.raises(errors.Missing):
        await engine.issue(await place.request("kv", name="nothing"), soon())


async def test_a_database_user_works_is_renewed_and_dropped(place: Place, served: Postgres):
    engine = DatabaseUsers(place.vault, "database")
    assert engine.modes == ONLY_HANDED
    request = await place.request("database", role="shop-app")
    issued = await engine.issue(request, soon())
    user = secret(issued.values["username"])
    assert await asyncio.to_thread(served.lets_in, user)
    assert issued.renewable
    assert (await engine.renew(issued, soon())).seconds > 0
    trail = Trail(id=request.id, trace=issued.trace)
    assert await engine.revoke(trail, soon())
    assert not await asyncio.to_thread(served.lets_in, user)
    assert await engine.revoke(trail, soon())


async def test_a_database_user_ends_with_the_token_of_its_turn(place: Place, served: Postgres):
    engine = DatabaseUsers(place.vault, "database")
    request = await place.request("database", role="shop-app")
    issued = await engine.issue(request, soon())
    user = secret(issued.values["username"])
    assert served.lets_in(user)
    await place.tokens.revoke(request.token.accessor, soon())
    await served.refuses(user)


async def test_another_projects_database_is_forbidden(place: Place, served: Postgres):
    engine = DatabaseUsers(place.vault, "database")
    with pytest.raises(errors.Forbidden):
        await engine.issue(
            await place.request("database", bearer(project="bank"), role="shop-app"), soon()
        )


@pytest.mark.parametrize("kind", ["user", "host"])
async def test_an_ssh_certificate_is_signed_for_its_principal(
    place: Place, kind: str, tmp_path: Path
):
    signs_ssh(place, "shop-deploy", kind)
    engine, whose = SshCertificates(place.vault, "ssh"), bearer()
    named = {"principals": "a.shop.example"} if kind == "host" else {}
    request = await place.request("ssh", whose, role="shop-deploy", type=kind, **named)
    issued = await engine.issue(request, soon())
    private = asyncssh.import_private_key(secret(issued.values["private_key"]))
    certificate = asyncssh.import_certificate(secret(issued.values["certificate"]))
    assert certificate.key.public_data == private.public_data
    file = tmp_path / "key-cert.pub"
    file.write_text(secret(issued.values["certificate"]))
    shown = subprocess.run(
        ["ssh-keygen", "-L", "-f", str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert f"{kind} certificate" in shown
    assert (named.get("principals") or f"sess-{whose.session}") in shown
    assert not await engine.revoke(Trail(id=request.id, trace=issued.trace), soon())
    other = await place.request(
        "ssh", whose, role="shop-deploy", type=kind, principals="sess-other.example"
    )
    with pytest.raises(errors.Misasked):
        await engine.issue(other, soon())


async def test_an_identity_token_is_verified_by_an_independent_library(place: Place):
    engine, whose = IdentityTokens(place.vault, key="ona"), bearer()
    request = await place.request("identity", whose, audience=AUDIENCE)
    token = secret((await engine.issue(request, soon())).values["token"])
    base = f"{place.server.address}/v1/{place.namespace}/identity/oidc"
    discovery = requests.get(f"{base}/.well-known/openid-configuration", timeout=5).json()
    keys = jwt.PyJWKSet.from_dict(requests.get(discovery["jwks_uri"], timeout=5).json())
    (key,) = [one for one in keys.keys if one.key_id == jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=discovery["issuer"]
    )
    assert claims["sub"] == request.token.entity_id
    assert claims["session"] == whose.session
    assert claims["project"] == "shop"
    assert claims["person"] == "p1"
    assert claims["repository"] == "github:acme/shop"
    assert claims["environment"] == "test"
    assert claims["exp"] - time.time() <= 600
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, key, algorithms=["RS256"], audience="elsewhere")


async def test_a_vault_trusts_the_sessions_of_one_project_as_the_docs_say(place: Place):
    """docs/vault.md: the role of a `jwt` login, bound to an audience and a project."""
    engine, root = IdentityTokens(place.vault, key="ona"), place.root
    base = f"{place.server.address}/v1/{place.namespace}/identity/oidc"
    about = requests.get(f"{base}/.well-known/openid-configuration", timeout=5).json()
    root.sys.enable_auth_method("jwt")
    root.auth.jwt.configure(oidc_discovery_url=about["issuer"])
    root.auth.jwt.create_role(
        "shop",
        role_type="jwt",
        user_claim="session",
        bound_audiences=[AUDIENCE],
        bound_claims={"project": "shop"},
        token_policies=["shop-deploy"],
        allowed_redirect_uris=[],
    )

    async def policies(project: str, audience: str) -> list[str]:
        request = await place.request("identity", bearer(project=project), audience=audience)
        token = secret((await engine.issue(request, soon())).values["token"])
        answer = await asyncio.to_thread(
            root.auth.jwt.jwt_login, "shop", token, use_token=False, path="jwt"
        )
        return answer["auth"]["token_policies"]

    assert "shop-deploy" in await policies("shop", AUDIENCE)
    for project, audience in (("bank", AUDIENCE), ("shop", "elsewhere")):
        with pytest.raises(hvac.exceptions.InvalidRequest):
            await policies(project, audience)


async def test_an_audience_of_another_project_is_forbidden(place: Place):
    engine = IdentityTokens(place.vault, key="ona")
    theirs = await place.request("identity", bearer(project="bank"), audience=AUDIENCE)
    await engine.issue(theirs, soon())
    ours = place.client((await place.request("identity", audience=AUDIENCE)).token)
    with pytest.raises(Exception, match="permission denied"):
        ours.secrets.identity.generate_signed_id_token(role_of("bank", AUDIENCE))
