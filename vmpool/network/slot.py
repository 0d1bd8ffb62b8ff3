"""What a network slot is: a namespace with one tap device and nothing else. Pure.

    host ┊ namespace: tap0 172.16.0.1/30, no uplink, no route, no other device ┊ guest 172.16.0.2

Every slot has the same addresses and the same MAC, because a machine may wake in another one than
it slept in, with its ARP table as it was. Who a guest is, is told by the namespace that it is in;
what it says of itself is not asked. Whatever it sends reaches the slot's own address at most, where
nobody but the gateway listens.
"""

import hashlib
import os
import re
from ipaddress import IPv4Network
from pathlib import Path

TAP = "tap0"
TAP_MAC = "02:00:00:00:00:01"
GUEST_MAC = "02:00:00:00:00:02"
HOST_ADDRESS = "172.16.0.1"
GUEST_ADDRESS = "172.16.0.2"
PREFIX_BITS = 30
DNS_PORT, WEB_PORT, TLS_PORT, PROXY_PORT = 53, 80, 443, 8080
PASS_PORT = 8081
"""Where everything lands that goes to an address of a name."""
GATEWAY_PORTS = (WEB_PORT, TLS_PORT, PROXY_PORT)
"""Where the gateway listens, TCP; DNS beside them."""
NAMES_RANGE = IPv4Network("198.18.0.0/15")
"""Addresses that the gateway gives to names, each machine's for itself. Set aside for tests of
networks by RFC 2544: neither the internet nor what runs in a machine uses them."""
SLOTS_MAX = 1000
INSTALLATIONS = 1 << 16
UID_FIRST = 0x7000_0000
"""Whose process the first slot of the first installation is for. Above the uids that systemd gives
to containers, and far from those of people."""
UID_MAX = UID_FIRST + INSTALLATIONS * SLOTS_MAX

_NAME = re.compile(r"ona-([0-9a-f]{8})-(\d{1,4})")


def owner_of(root: Path) -> str:
    """What tells the installation whose machines lie in a directory from others on this host."""
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:8]


def uid_first(root: Path) -> int:
    """The first of an installation's uids; two installations most likely have different ones."""
    return UID_FIRST + int(owner_of(root), 16) % INSTALLATIONS * SLOTS_MAX


def slot_name(owner: str, number: int) -> str:
    """Name a slot's namespace. :param owner: see `owner_of`"""
    return f"ona-{owner}-{number}"


def slot_number(owner: str, name: str) -> int | None:
    """Which of the owner's slots a namespace is; None: none of them."""
    found = _NAME.fullmatch(name)
    return int(found.group(2)) if found and found.group(1) == owner else None


def rules() -> str:
    """What nftables enforces in a slot, loaded before its device goes up.

    All is dropped that is not named. TCP is answered by a reset, so that a program in the guest
    fails at once instead of waiting; packets for other addresses never leave the namespace, as
    there is nothing to leave by. Connections to the addresses of names are turned to the gateway,
    which asks the kernel where they were going; a connection to that port itself is none of them.
    """
    ports = ", ".join(str(port) for port in sorted((DNS_PORT, *GATEWAY_PORTS)))
    guest = f'iifname "{TAP}" ip saddr {GUEST_ADDRESS}'
    return f"""table inet slot {{
    chain turn {{
        type nat hook prerouting priority dstnat;
        {guest} ip daddr {NAMES_RANGE} meta l4proto tcp redirect to :{PASS_PORT}
    }}
    chain arrive {{
        type filter hook prerouting priority filter; policy drop;
        {guest} ip daddr {HOST_ADDRESS} tcp dport {{ {ports} }} accept
        {guest} ct original ip daddr {NAMES_RANGE} tcp dport {PASS_PORT} accept
        {guest} ip daddr {HOST_ADDRESS} udp dport {DNS_PORT} accept
        {guest} meta l4proto tcp reject with tcp reset
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
    }}
    chain leave {{
        type filter hook output priority filter; policy drop;
        oifname "{TAP}" ip daddr {GUEST_ADDRESS} tcp flags & (syn | ack) != syn accept
        oifname "{TAP}" ip daddr {GUEST_ADDRESS} udp sport {DNS_PORT} accept
    }}
}}
"""


def settings() -> dict[str, str]:
    """What is set of the kernel in a slot, by path below /proc/sys/net."""
    return {
        "ipv6/conf/all/disable_ipv6": "1",
        "ipv6/conf/default/disable_ipv6": "1",
        "ipv4/ip_forward": "0",
        f"ipv4/conf/{TAP}/accept_redirects": "0",
        f"ipv4/conf/{TAP}/send_redirects": "0",
        f"ipv4/conf/{TAP}/arp_ignore": "1",
    }
