"""What checks a session's identity tokens finds the keys at our own address."""

import jwt

from adapters.vault.engines import IdentityTokens
from bot.vault import discovery_of
from tests.integration.vault.conftest import NAMES, Place, bearer, soon
from tests.integration.web.site import running_site
from tests.support.openbao import HASHICORP_VAULT


async def test_a_token_is_verified_by_the_keys_that_we_publish(place: Place):
    read = discovery_of(place.vault)
    assert read is not None
    request = await place.request("identity", bearer(project="shop"), audience="internal")
    issued = await IdentityTokens(place.vault, key=NAMES.oidc_key).issue(request, soon())
    token = issued.values["token"].get_secret_value()
    about = await read("openid-configuration", soon())
    published = jwt.PyJWKSet.from_dict(dict(await read("keys", soon())))
    key = published[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key.key, algorithms=["RS256"], audience="internal", issuer=about["issuer"]
    )
    assert claims["project"] == "shop"


async def test_keys_are_cached_from_when_there_is_one(place: Place, database_url, tmp_path):
    path = "/v1/identity/oidc/.well-known/keys"
    async with running_site(database_url, tmp_path) as site, site.client() as client:
        object.__setattr__(site.services, "discovery", discovery_of(place.vault))
        before = await client.get(path)
        request = await place.request("identity", audience="internal")
        await IdentityTokens(place.vault, key=NAMES.oidc_key).issue(request, soon())
        after = await client.get(path)
    if not HASHICORP_VAULT:
        # That one publishes keys before they have signed anything.
        assert before.json() == {"keys": []}
        assert before.headers["cache-control"] == "no-store"
    assert after.json()["keys"]
    assert after.headers["cache-control"] == "public, max-age=300"


async def test_without_a_vault_there_is_nothing_to_publish():
    assert discovery_of(None) is None
