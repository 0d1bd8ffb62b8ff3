"""The token of a turn: what it may, how long it lives, what ends with it."""

from datetime import datetime

import pytest
from hvac.exceptions import Forbidden, InvalidPath

from adapters.vault import errors
from adapters.vault.port import Bearer
from adapters.vault.prepare import OWN_POLICY, TURN_POLICY, prepare
from adapters.vault.tokens import UNWRITTEN_SECONDS
from tests.integration.vault.conftest import NAMES, Place, bearer, soon

MAXIMUM = 120
"""Seconds."""


async def test_it_is_of_its_session_and_lives_for_seconds_until_it_is_extended(place: Place):
    whose = bearer()
    token = await place.tokens.issue(whose, (TURN_POLICY,), soon())
    assert token.token.get_secret_value() not in repr(token)
    found = place.root.auth.token.lookup_accessor(token.accessor)["data"]
    assert found["policies"] == [TURN_POLICY]
    assert found["meta"]["session"] == whose.session
    assert found["meta"]["person"] == "p1"
    assert found["ttl"] <= UNWRITTEN_SECONDS
    assert not found["orphan"]
    assert await place.tokens.extend(token.accessor, soon()) == pytest.approx(900, abs=2)


async def test_its_policies_are_templates_of_its_project(place: Place):
    for project in ("shop", "bank"):
        place.root.secrets.kv.v2.create_or_update_secret(
            f"projects/{project}/npm", {"token": "x"}, mount_point="secret"
        )
    client = place.client(await place.tokens.issue(bearer(), (TURN_POLICY,), soon()))
    read = client.secrets.kv.v2.read_secret_version
    found = read("projects/shop/npm", mount_point="secret", raise_on_deleted_version=True)
    assert found["data"]["data"] == {"token": "x"}
    with pytest.raises(Forbidden):
        read("projects/bank/npm", mount_point="secret", raise_on_deleted_version=True)


async def test_the_next_turn_of_a_session_is_the_same_entity_with_its_own_person(place: Place):
    first = bearer()
    second = Bearer(**{**vars(first), "person": "p2"})
    one = await place.tokens.issue(first, (TURN_POLICY,), soon())
    other = await place.tokens.issue(second, (TURN_POLICY,), soon())
    assert one.entity_id == other.entity_id
    entity = place.root.secrets.identity.read_entity(one.entity_id)["data"]
    assert entity["metadata"]["person"] == "p2"
    await place.tokens.forget(first.session_id, soon())
    with pytest.raises(InvalidPath):
        place.root.secrets.identity.read_entity(one.entity_id)


async def test_an_entity_that_somebody_removed_comes_again(place: Place):
    whose = bearer()
    one = await place.tokens.issue(whose, (TURN_POLICY,), soon())
    place.root.secrets.identity.delete_entity(one.entity_id)
    await place.tokens.issue(whose, (TURN_POLICY,), soon())
    third = await place.tokens.issue(whose, (TURN_POLICY,), soon())
    entity = place.root.secrets.identity.read_entity(third.entity_id)["data"]
    assert entity["metadata"]["session"] == whose.session


async def test_revoking_by_its_accessor_ends_it_and_again_is_no_harm(place: Place):
    token = await place.tokens.issue(bearer(), (TURN_POLICY,), soon())
    assert place.lives(token)
    await place.tokens.revoke(token.accessor, soon())
    assert not place.lives(token)
    await place.tokens.revoke(token.accessor, soon())


async def test_whoever_revokes_our_own_token_ends_those_of_all_turns(place: Place):
    tokens = [await place.tokens.issue(bearer(), (TURN_POLICY,), soon()) for _ in range(3)]
    assert all(place.lives(token) for token in tokens)
    place.root.auth.token.revoke(place.token_file.read_text())
    assert not any(place.lives(token) for token in tokens)


async def test_it_never_lives_longer_than_its_maximum(place: Place):
    prepare(place.root, NAMES, turn_seconds_max=MAXIMUM)
    token = await place.tokens.issue(bearer(), (TURN_POLICY,), soon())
    for _ in range(2):
        assert await place.tokens.extend(token.accessor, soon()) <= MAXIMUM
    found = place.root.auth.token.lookup_accessor(token.accessor)["data"]
    ends = datetime.fromisoformat(found["expire_time"]).timestamp()
    # Both are rounded to seconds.
    assert ends <= found["creation_time"] + MAXIMUM + 1


async def test_it_cant_be_made_with_our_own_policy(place: Place):
    with pytest.raises(errors.VaultError, match="polic"):
        await place.tokens.issue(bearer(), (OWN_POLICY,), soon())
