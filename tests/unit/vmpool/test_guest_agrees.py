"""What host and guest both have to know: the guest program has no module but its own."""

from fnmatch import fnmatch
from ipaddress import IPv4Address, IPv4Interface

from vmpool import handshake as of_host
from vmpool.drivers.cloud_hypervisor import config
from vmpool.drivers.qemu import argv
from vmpool.guest import handshake as of_guest
from vmpool.guest import identity, init, login, port, preview
from vmpool.guest.settings import Settings
from vmpool.network import slot


def test_a_machine_looks_for_the_gateway_where_it_listens():
    assert (init.ADDRESS, init.GATEWAY) == (slot.GUEST_ADDRESS, slot.HOST_ADDRESS)
    beside = IPv4Interface(f"{init.ADDRESS}/{init.NETMASK}").network
    assert beside.prefixlen == slot.PREFIX_BITS
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


def test_the_tools_of_a_machine_ask_the_gateway_where_it_answers():
    answers = f"{slot.HOST_ADDRESS}:{slot.WEB_PORT}"
    assert identity.DEFAULT_GATEWAY == preview.DEFAULT_GATEWAY == answers


def test_both_ends_of_the_channel_speak_of_the_same():
    assert (of_guest.PROTOCOL, of_guest.STALE_TOKEN) == (of_host.PROTOCOL, of_host.STALE_TOKEN)
    assert port.VSOCK_PORT == config.CHANNEL_PORT
    assert Settings.port_name == argv.CHANNEL_PORT
