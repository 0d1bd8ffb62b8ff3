"""One spelling for every host, and which addresses are of the internet."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.network.hosts import METADATA, BadHost, address_of, kind_of, normalise

METADATA_SPELLED = [
    "169.254.169.254",
    "169.254.169.254.",
    "2852039166",
    "0xa9fea9fe",
    "0XA9FEA9FE",
    "025177524776",
    "0251.0376.0251.0376",
    "0xa9.0xfe.0xa9.0xfe",
    "169.254.43518",
    "169.16689662",
    "0xa9.254.0251.254",
    "::ffff:169.254.169.254",
    "[::ffff:a9fe:a9fe]",
    "0:0:0:0:0:FFFF:A9FE:A9FE",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "".join(chr(ord(sign) + 0xFEE0) for sign in "169.254.169.254"),  # full width
]


@pytest.mark.parametrize("text", METADATA_SPELLED)
def test_every_spelling_of_the_metadata_address_is_that_address(text: str) -> None:
    host = normalise(text)
    assert host == "169.254.169.254"
    address = address_of(host)
    assert address is not None
    assert kind_of(address) == "a cloud's metadata address"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("EXAMPLE。com", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("_srv.db-1.internal", "_srv.db-1.internal"),
        ("localhost", "localhost"),
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("1e100.net", "1e100.net"),
        ("4chan.org", "4chan.org"),
    ],
)
def test_a_host_has_one_spelling(text: str, host: str) -> None:
    assert normalise(text) == host


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a..b", ".example.com", "example.com..", "-a.example", "a-.example"),
        *("a b", "a\nb", "a\0b", "a/b", "a@b", "a%2eb", "a:80", "user:pw@host", "a#b", "a?b", "*"),
        *("256.1.1.1", "1.1.1.256", "1.2.3.4.5", "1.2.3.08", "4294967296", "name.1"),
        *("fe80::1%eth0", "[::1", "::1]", ":::", "1::2::3", "x" * 64 + ".example"),
        ".".join(["abcdefghi"] * 26),
        "\u200b\u200b.example",
    ],
)
def test_what_names_no_host_is_refused(text: str) -> None:
    with pytest.raises(BadHost):
        normalise(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("93.184.215.14", None),
        ("2606:2800:220:1::1", None),
        ("127.0.0.1", "a loopback address"),
        ("::1", "a loopback address"),
        ("0.0.0.0", "the unspecified address"),
        ("::", "the unspecified address"),
        ("10.0.0.1", "a private address"),
        ("100.64.0.1", "a private address"),
        ("172.16.0.1", "a private address"),
        ("192.168.1.1", "a private address"),
        ("198.18.0.1", "a private address"),
        ("fd12::1", "a private address"),
        ("fec0::1", "a private address"),
        ("169.254.1.1", "a link-local address"),
        ("fe80::1", "a link-local address"),
        ("224.0.0.251", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("240.0.0.1", "a reserved address"),
        ("255.255.255.255", "a reserved address"),
        ("168.63.129.16", "a cloud's metadata address"),
        ("fd00:ec2::254", "a cloud's metadata address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("::127.0.0.1", "an IPv6 address that stands for an IPv4 one"),
        ("64:ff9b::7f00:1", "an IPv6 address that stands for an IPv4 one"),
        ("2002:7f00:1::", "an IPv6 address that stands for an IPv4 one"),
        ("2001:0:7f00:1::", "an IPv6 address that stands for an IPv4 one"),
        ("203.0.114.9", "an address of the gateway's own host"),
    ],
)
def test_addresses_have_a_kind(text: str, kind: str | None) -> None:
    own = {ipaddress.ip_address("203.0.114.9")}
    assert kind_of(ipaddress.ip_address(text), own) == kind


def test_no_metadata_address_is_of_the_internet() -> None:
    assert all(kind_of(address) for address in METADATA)


def spelled(value: int) -> st.SearchStrategy[str]:
    """One of the ways to write an IPv4 address that the C library reads."""
    number = st.sampled_from([str, lambda n: f"0{n:o}" if n else "0", hex, lambda n: f"0X{n:X}"])

    def parts(count: int) -> st.SearchStrategy[str]:
        values = [value >> 8 * (3 - place) & 255 for place in range(count - 1)]
        values.append(value & (1 << 8 * (5 - count)) - 1)
        return st.tuples(*([number] * count)).map(
            lambda ways: ".".join(way(part) for way, part in zip(ways, values, strict=True))
        )

    return st.integers(1, 4).flatmap(parts)


@given(st.integers(0, 2**32 - 1).flatmap(lambda value: st.tuples(st.just(value), spelled(value))))
def test_ipv4_is_read_as_the_c_library_reads_it(both: tuple[int, str]) -> None:
    value, text = both
    assert normalise(text) == str(ipaddress.IPv4Address(value))
    assert socket.inet_aton(text) == value.to_bytes(4, "big")


@given(st.text(max_size=40))
def test_what_was_normalised_stays_as_it_is(text: str) -> None:
    try:
        host = normalise(text)
    except BadHost:
        return
    assert normalise(host) == host
    assert host.isascii()
    assert host == host.lower()


@given(st.text(alphabet="0123456789abcdefx.", max_size=20))
def test_no_address_passes_for_a_name(text: str) -> None:
    try:
        address = socket.inet_aton(text)
    except OSError:
        return
    assert normalise(text) == socket.inet_ntoa(address)
