"""The OpenBao that the tests of Vault stand on."""

from contextlib import ExitStack

import hvac.exceptions
import pytest

from tests.support.openbao import HASHICORP_VAULT, OpenBao, openbao_server


@pytest.mark.skipif(bool(HASHICORP_VAULT), reason="it has no namespaces")
def test_what_is_in_one_namespace_is_not_in_another(openbao: OpenBao) -> None:
    with openbao.namespace() as one, openbao.namespace() as other:
        for name in (one, other):
            client = openbao.client(namespace=name)
            client.sys.enable_secrets_engine("kv", path="secret", options={"version": "1"})
        openbao.client(namespace=one).write_data("secret/a", data={"value": "1"})
        assert openbao.client(namespace=one).read("secret/a")["data"] == {"value": "1"}
        assert openbao.client(namespace=other).read("secret/a") is None


def test_a_durable_one_keeps_its_secrets_through_a_kill_and_a_seal() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(openbao_server(durable=True))
        server.client().sys.enable_secrets_engine("kv", path="secret", options={"version": "1"})
        server.client().write_data("secret/a", data={"value": "1"})
        server.kill()
        server.start()
        assert server.client().read("secret/a")["data"] == {"value": "1"}
        server.seal()
        with pytest.raises(hvac.exceptions.VaultDown):
            server.client().read("secret/a")
        server.unseal()
        assert server.client().read("secret/a")["data"] == {"value": "1"}
        assert "secret/a" in server.audit_file.read_text()
