"""What can go wrong between us and Vault, grouped by who acts.

    VaultError
    ├── VaultAway            retry: Vault comes back, or somebody lets it
    │   ├── Sealed               it answers and gives nothing until it is unsealed
    │   ├── Unreachable          no answer, or one that says nothing about the request
    │   ├── Expired              a token of ours ended, and logging in did not bring another
    │   └── Forbidden            a policy does not let us; whoever mends it lets what waits go on
    ├── VaultWrong           the operator: asking again gives the same
    │   ├── Missing              there is no such mount, role, key or value
    │   └── Misasked             the issuer refuses what the project's settings ask for
    └── VaultBug             ours: an answer that we do not understand

The texts are clauses for people, and never hold a value.
"""


class VaultError(Exception):
    """A credential was not issued, renewed or revoked; the text says why, as a clause."""

    do = "`ona doctor` says more"
    """What whoever runs the installation can do, as a clause."""


class VaultAway(VaultError):
    """Asking again later can help."""


class Sealed(VaultAway):
    """Vault is there, and sealed or not set up yet."""

    do = "an operator has to unseal it"


class Unreachable(VaultAway):
    """Whether the request was carried out is not known."""

    do = "an operator has to see that it runs and that this host reaches it"


class Expired(VaultAway):
    """Our own login, or the token of a turn, has ended."""

    do = "an operator has to renew what ona logs in with"


class Forbidden(VaultAway):
    """Vault's policies say no."""

    do = "an operator has to let ona do that in Vault; docs/vault.md has the policy"


class VaultWrong(VaultError):
    """Something is set up in a way that can't work."""

    do = "an operator has to mend it; docs/vault.md says how it is meant to be"


class Missing(VaultWrong):
    """There is no such thing at the issuer."""


class Misasked(VaultWrong):
    """The issuer does not take the request as it is."""


class VaultBug(VaultError):
    """An answer was not of the form that we know."""

    do = "this is an error of ours: please report it"
