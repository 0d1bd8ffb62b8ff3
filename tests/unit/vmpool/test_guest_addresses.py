"""The guest program knows the addresses of its network without our modules: they are the same."""

from fnmatch import fnmatch
from ipaddress import IPv4Address

from vmpool.guest import init, login
from vmpool.network import slot


def test_a_machine_looks_for_the_gateway_where_it_listens():
    assert (init.ADDRESS, init.GATEWAY) == (slot.GUEST_ADDRESS, slot.HOST_ADDRESS)
    assert init.PROXY_PORT == slot.PROXY_PORT


def test_without_a_card_it_has_every_address_that_a_name_may_get():
    assert IPv4Address(init.NAMES) in slot.NAMES_RANGE
    assert str(slot.NAMES_RANGE.netmask) == init.NAMES_NETMASK


def test_the_control_login_may_listen_at_those_and_nowhere_else():
    def may(address: object) -> bool:
        return any(fnmatch(str(address), one) for one in login.GATEWAY_ADDRESSES)

    ours = slot.NAMES_RANGE
    assert all(may(one) for one in (slot.HOST_ADDRESS, ours[0], ours[-1]))
    assert not any(may(one) for one in (ours[0] - 1, ours[-1] + 1, slot.GUEST_ADDRESS, "0.0.0.0"))
