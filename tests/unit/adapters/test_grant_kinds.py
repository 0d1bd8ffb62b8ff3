"""What is written down of each kind of grant is what its issuer does."""

import pytest

from adapters.vault.engines import DatabaseUsers, IdentityTokens, KvValues, SshCertificates
from adapters.vault.forges import GitHubTokens, GitLabTokens
from adapters.vault.kinds import KINDS

ISSUERS = {
    "kv": KvValues,
    "database": DatabaseUsers,
    "ssh": SshCertificates,
    "identity": IdentityTokens,
    "github": GitHubTokens,
    "gitlab": GitLabTokens,
}


def test_every_issuer_has_its_kind():
    assert set(KINDS) == set(ISSUERS)


@pytest.mark.parametrize("kind", ISSUERS)
def test_a_kind_is_used_as_its_issuer_lets_it(kind):
    assert KINDS[kind].modes == ISSUERS[kind].modes
