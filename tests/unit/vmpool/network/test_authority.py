"""Host and port as a client writes them."""

import pytest

from vmpool.network.gateway.http import BadRequest
from vmpool.network.gateway.proxy import split_authority


def test_a_port_may_begin_with_zeros():
    assert split_authority("a.test:00000000443", None) == ("a.test", 443)


@pytest.mark.parametrize("port", ["0", "0000099999", "0000000" + "1" * 5000, "65536", "", "٣"])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(BadRequest):
        split_authority(f"a.test:{port}", None)
