"""Names and addresses of hosts: one spelling for each, and which ones nobody reaches by accident.

A program may spell an address in many ways (`127.1`, `0x7f.1`, `2130706433`, `::ffff:127.0.0.1`,
`①②⑦.1`), and they all end at the same host; what is decided by name has to see through them.
Pure: nothing here resolves a name.
"""

import ipaddress
import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import idna

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NAME_CHARACTERS_MAX = 253
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")

METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    )
)
"""Where clouds hand out the credentials of the machine that asks."""
_TRANSITIONAL = tuple(
    ipaddress.IPv6Network(text)
    for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
)
"""IPv6 that stands for some IPv4 address, which a translator on the way would reach."""


_OF_NO_INTERNET = frozenset({"arpa", "internal", "local", "localhost", "ona", "onion"})
"""Last parts of names that nobody on the internet has."""


class BadHost(ValueError):
    """This names no host; the text says why, in words that fit after "it is refused:"."""


def normalise(text: str) -> str:
    """The one spelling of a host: a name in ASCII and lower case without final dot, or an address.

    Brackets around an IPv6 address go, and IPv4 written as IPv6 is IPv4.

    :raises BadHost: it is neither
    """
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise BadHost("this is not a valid international name") from error
    text = text.lower()
    if text.startswith("[") and text.endswith("]"):
        return str(_ipv6(text[1:-1]))
    if ":" in text:
        return str(_ipv6(text))
    text = text.removesuffix(".")
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return str(_ipv4(labels))
    if len(text) > NAME_CHARACTERS_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise BadHost("this is not the name of a host")
    return text


def _ipv6(text: str) -> Address:
    try:
        address = IPv6Address(text)
    except ValueError as error:
        raise BadHost("this is not an IPv6 address") from error
    if address.scope_id is not None:
        raise BadHost("an address here has no zone")
    return address.ipv4_mapped or address


def _ipv4(labels: list[str]) -> IPv4Address:
    """Read it as the C library does: octal and hexadecimal, and a last part that fills the rest."""
    if len(labels) > 4:
        raise BadHost("an IPv4 address has four parts at most")
    *first, last = [_number(label) for label in labels]
    if any(part > 255 for part in first) or last >= 256 ** (5 - len(labels)):
        raise BadHost("a part of this IPv4 address is too large")
    value = last
    for place, part in enumerate(first):
        value += part << 8 * (3 - place)
    return IPv4Address(value)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise BadHost("a name does not end in a number")
    try:
        if text.startswith("0x"):
            return int(text[2:] or "0", 16)
        return int(text, 8) if len(text) > 1 and text[0] == "0" else int(text)
    except ValueError as error:
        raise BadHost("this is not an IPv4 address") from error


def address_of(host: str) -> Address | None:
    """The address that a normalised host is; None: it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_internet_name(host: str) -> bool:
    """Whether a normalised host is a name that somebody on the internet may have."""
    inner, _, last = host.rpartition(".")
    return bool(inner) and address_of(host) is None and last not in _OF_NO_INTERNET


def plain(address: Address) -> Address:
    """IPv4 that came as IPv6, as IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def kind_of(address: Address, own: Collection[Address] = ()) -> str | None:  # noqa: PLR0911
    """What an address is that is reached only if the policy names it; None: it is of the internet.

    :param own: the addresses of this host
    :return: words that fit after "it is"
    """
    address = plain(address)
    if address in METADATA:
        return "a cloud's metadata address"
    if address in own:
        return "an address of the gateway's own host"
    if address.is_loopback:
        return "a loopback address"
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_link_local:
        return "a link-local address"
    if isinstance(address, IPv6Address) and any(address in each for each in _TRANSITIONAL):
        return "an IPv6 address that stands for an IPv4 one"
    if isinstance(address, IPv6Address) and address.is_site_local:
        return "a private address"
    if address.is_reserved:
        return "a reserved address"
    return None if address.is_global else "a private address"


def is_by_range(kind: str) -> bool:
    """Whether a range in the policy is enough to name such an address; others are named singly."""
    return kind == "a private address"
