"""What a policy says, line by line."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.network.policy import (
    BadRule,
    Policy,
    Routed,
    Rule,
    allowances,
    decide,
    decide_address,
    read_rule,
)


def allow(*texts: str, source: str = "policy of project web") -> tuple[Rule, ...]:
    return tuple(read_rule(text, allow=True, source=source) for text in texts)


def deny(*texts: str, source: str = "policy of the installation") -> tuple[Rule, ...]:
    return tuple(read_rule(text, allow=False, source=source) for text in texts)


WEB = Policy(
    rules=(
        *deny("evil.example.com", "tracker.test:443", "93.184.0.0/16"),
        *allow("example.com", "*.example.com", "odd.test:8443", "10.1.0.0/16", "tracker.test"),
    ),
    services=allow("db.internal:5432", "git.internal:22", "10.2.0.0/16:5432"),
    routed=(Routed("forge.test", "/forge/main/"), Routed("*.models.test", "/model/m/")),
)


@pytest.mark.parametrize(
    ("host", "port", "allowed", "any_protocol"),
    [
        ("example.com", 443, True, False),
        ("EXAMPLE.com.", 80, True, False),
        ("www.example.com", 443, True, False),
        ("a.b.example.com", 443, True, False),
        ("notexample.com", 443, False, False),
        ("example.com.evil.test", 443, False, False),
        ("example.com", 22, False, False),
        ("example.com", 25, False, False),
        ("example.com", 8443, False, False),
        ("evil.example.com", 443, False, False),
        ("evil.example.com", 9999, False, False),
        ("x.evil.example.com", 443, True, False),
        ("tracker.test", 443, False, False),
        ("tracker.test", 80, True, False),
        ("odd.test", 8443, True, False),
        ("odd.test", 443, False, False),
        ("10.1.2.3", 443, True, False),
        ("10.1.2.3", 22, False, False),
        ("0x0a.0x01.515", 443, True, False),
        ("10.3.0.1", 443, False, False),
        ("93.184.215.14", 443, False, False),
        ("8.8.8.8", 443, False, False),
        ("db.internal", 5432, True, True),
        ("db.internal", 443, False, False),
        ("git.internal", 22, True, True),
        ("10.2.0.9", 5432, True, True),
        ("forge.test", 443, False, False),
        ("eu.models.test", 443, False, False),
        ("models.test", 443, False, False),
        ("a b", 443, False, False),
    ],
)
def test_a_policy_decides(host: str, port: int, allowed: bool, any_protocol: bool) -> None:
    decision = decide(WEB, host, port)
    assert (decision.allowed, decision.any_protocol) == (allowed, any_protocol)
    assert decision.reason.endswith(".")


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        (
            "x.test",
            443,
            "x.test:443 is not allowed: no line of the policy names it; a line `allow x.test` in "
            "the project's policy would allow it.",
        ),
        (
            "odd.test",
            22,
            "odd.test:22 is not allowed: the policy allows odd.test on port 8443 only; a line "
            "`allow odd.test:22` in the project's policy would allow it.",
        ),
        (
            "evil.example.com",
            443,
            "evil.example.com:443 is denied by `deny evil.example.com` "
            "(policy of the installation).",
        ),
        (
            "www.example.com",
            443,
            "www.example.com:443 is allowed by `allow *.example.com` (policy of project web).",
        ),
        (
            "FORGE.test",
            443,
            "forge.test is reached through http://gateway.ona/forge/main/ and no other way.",
        ),
        ("fe80::1%x", 80, "'fe80::1%x' is refused: an address here has no zone."),
    ],
)
def test_a_decision_says_why(host: str, port: int, reason: str) -> None:
    assert decide(WEB, host, port).reason == reason


def test_an_allow_of_the_project_does_not_undo_a_route() -> None:
    policy = Policy(rules=allow("forge.test"), routed=WEB.routed)
    assert not decide(policy, "forge.test", 443).allowed


@pytest.mark.parametrize(
    "policy",
    [
        Policy(rules=(*deny("pypi.org"), *allow("pypi.org"))),
        Policy(rules=(*allow("pypi.org"), *deny("pypi.org"))),
        Policy(rules=(*allow("*.org", "pypi.org"), *deny("pypi.org:443"), *allow("pypi.org:443"))),
        Policy(rules=deny("pypi.org"), services=allow("pypi.org:443")),
        Policy(rules=allow("pypi.org"), services=deny("pypi.org:443")),
        Policy(services=(*allow("pypi.org:443"), *deny("pypi.org:443"))),
    ],
)
def test_a_denial_wins_wherever_it_stands(policy: Policy) -> None:
    decision = decide(policy, "pypi.org", 443)
    assert not decision.allowed
    assert decision.rule is not None
    assert not decision.rule.allow


@pytest.mark.parametrize("lines", [("deny", "allow"), ("allow", "deny")])
def test_a_denial_of_addresses_wins_wherever_it_stands(lines: tuple[str, str]) -> None:
    written = {"deny": deny("10.1.2.3"), "allow": allow("10.1.0.0/16")}
    policy = Policy(rules=tuple(rule for line in lines for rule in written[line]))
    address = ipaddress.ip_address("10.1.2.3")
    assert not decide_address(policy, "inside.test", 443, address).allowed


def test_nothing_is_allowed_by_an_empty_policy() -> None:
    assert not decide(Policy(), "example.com", 443).allowed
    assert not decide(Policy(), "", 0).allowed


@pytest.mark.parametrize(
    ("address", "port", "allowed"),
    [
        ("198.41.0.4", 443, True),
        ("2606:4700::1", 443, True),
        ("93.184.215.14", 443, False),  # a range that is denied
        ("10.1.2.3", 443, True),  # a range that is named
        ("::ffff:10.1.2.3", 443, True),
        ("10.1.2.3", 8443, False),  # named for the web only
        ("10.2.2.3", 5432, True),
        ("10.3.2.3", 443, False),
        ("127.0.0.1", 443, False),
        ("169.254.169.254", 80, False),
        ("::ffff:169.254.169.254", 80, False),
        ("203.0.114.9", 443, False),  # the host's own
    ],
)
def test_addresses_are_decided_again(address: str, port: int, allowed: bool) -> None:
    own = {ipaddress.ip_address("203.0.114.9")}
    found = decide_address(WEB, "example.com", port, ipaddress.ip_address(address), own)
    assert found.allowed is allowed


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "203.0.114.9", "0.0.0.0", "224.0.0.1"]
)
def test_no_range_names_the_host_or_its_metadata(address: str) -> None:
    own, found = {ipaddress.ip_address("203.0.114.9")}, ipaddress.ip_address(address)
    wide = Policy(rules=allow("0.0.0.0/0"))
    assert not decide_address(wide, "x.test", 443, found, own).allowed
    single = Policy(rules=allow(address))
    assert decide_address(single, "x.test", 443, found, own).allowed


def test_a_forbidden_address_says_what_would_allow_it() -> None:
    found = decide_address(WEB, "example.com", 443, ipaddress.ip_address("127.0.0.1"))
    assert found.reason == (
        "example.com:443 is at 127.0.0.1, and that is a loopback address; only a policy that names "
        "it, by itself and not in a range allows it: `allow 127.0.0.1:443`."
    )


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.com", "example.com", None),
        (" Example.com:8443 ", "example.com", 8443),
        ("*.Example.com", "*.example.com", None),
        ("[2001:db8::1]:443", "2001:db8::1", 443),
        ("2001:db8::1", "2001:db8::1", None),
        ("[fd00::/8]:22", "fd00::/8", 22),
        ("fd00::/8", "fd00::/8", None),
        ("10.0.0.0/8:5432", "10.0.0.0/8", 5432),
        ("bücher.example", "xn--bcher-kva.example", None),
    ],
)
def test_rules_are_read(text: str, host: str, port: int | None) -> None:
    rule = read_rule(text, allow=True, source="line 1")
    assert (rule.host, rule.port, rule.source) == (host, port, "line 1")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not the name of a host"),
        ("*", "not the name of a host"),
        ("*.", "not the name of a host"),
        ("a.*.example", "not the name of a host"),
        ("*.1.2.3.4", "nothing is below an address"),
        ("https://example.com", "is not a port"),
        ("example.com/path", "does not appear to be"),
        ("10.0.0.1/8", "host bits"),
        ("example.com:0", "is not a port"),
        ("example.com:65536", "is not a port"),
        ("example.com:http", "is not a port"),
        ("example.com:", "is not a port"),
    ],
)
def test_rules_that_mean_nothing_are_refused(text: str, why: str) -> None:
    with pytest.raises(BadRule, match=why):
        read_rule(text, allow=True, source="")


def test_a_service_needs_a_port() -> None:
    with pytest.raises(BadRule, match="needs a port"):
        Policy(services=allow("db.internal"))


hosts = st.sampled_from(
    ["a.test", "b.test", "x.a.test", "*.a.test", "10.0.0.1", "10.0.0.0/8", "fd00::/8", "fd00::1"]
)
rules = st.builds(
    Rule,
    st.booleans(),
    hosts,
    st.sampled_from([None, 22, 80, 443]),
    st.just("somewhere"),
)
asked = st.sampled_from(["a.test", "b.test", "x.a.test", "10.0.0.1", "fd00::1", "8.8.8.8"])
ports = st.sampled_from([22, 25, 80, 443])


@given(st.lists(rules, max_size=6), rules, asked, ports)
def test_a_denial_only_takes_away(lines: list[Rule], more: Rule, host: str, port: int) -> None:
    denial = Rule(False, more.host, more.port, "the installation")
    before = decide(Policy(rules=tuple(lines)), host, port)
    after = decide(Policy(rules=(denial, *lines)), host, port)
    assert before.allowed or not after.allowed
    if denial.covers(host, port):
        assert not after.allowed


@given(st.lists(rules, max_size=6), st.randoms(use_true_random=False), asked, ports)
def test_the_order_of_lines_does_not_matter(lines, random, host: str, port: int) -> None:
    mixed = list(lines)
    random.shuffle(mixed)
    one, other = (decide(Policy(rules=tuple(each)), host, port) for each in (lines, mixed))
    assert one.allowed == other.allowed


@given(st.lists(rules, max_size=6), asked, ports)
def test_whatever_is_allowed_is_named(lines: list[Rule], host: str, port: int) -> None:
    decision = decide(Policy(rules=tuple(lines)), host, port)
    if decision.allowed:
        assert decision.rule is not None
        assert decision.rule.allow
        assert decision.rule.covers(host, port)


@given(rules)
def test_a_rule_reads_as_it_is_written(rule: Rule) -> None:
    kind, _, text = str(rule).partition(" ")
    assert read_rule(text, allow=kind == "allow", source=rule.source) == rule


@pytest.mark.parametrize(
    ("host", "port", "people_are_asked"),
    [
        ("new.test", 443, True),
        ("NEW.test.", 5432, True),
        ("xn--bcher-kva.test", 443, True),
        ("b\u00fccher.test", 443, True),
        ("example.com", 22, True),  # allowed, on other ports
        ("odd.test", 443, True),
        ("www.example.com", 443, False),  # allowed
        ("evil.example.com", 443, False),  # denied
        ("tracker.test", 443, False),
        ("forge.test", 443, False),  # has a route
        ("a.models.test", 443, False),
        ("8.8.8.8", 443, False),
        ("0x08080808", 443, False),
        ("10.9.9.9", 443, False),
        ("169.254.169.254", 80, False),
        ("[fd00:ec2::254]", 80, False),
        ("::1", 80, False),
        ("metadata.google.internal", 80, False),
        ("printer.local", 80, False),
        ("gateway.ona", 443, False),
        ("localhost", 80, False),
        ("db", 5432, False),
        ("a b.test", 443, False),
        ("", 443, False),
    ],
)
def test_people_may_be_asked_about_names_that_no_line_speaks_of(
    host: str, port: int, people_are_asked: bool
) -> None:
    decision = decide(WEB, host, port)
    assert decision.open is people_are_asked
    assert not (decision.open and decision.allowed)


NAMES = st.sampled_from(["new.test", "a.new.test", "example.com", "odd.test", "10.1.2.3", "db"])
LINES = st.sampled_from(["new.test", "*.new.test", "*.test", "10.0.0.0/8", "odd.test:443", "db"])


@given(st.lists(LINES), st.lists(LINES), st.lists(st.tuples(NAMES, st.integers(1, 65535))), NAMES)
def test_what_people_allow_adds_those_names_and_ports_and_beats_no_denial(
    denied: list[str], allowed: list[str], people: list[tuple[str, int]], host: str
) -> None:
    before = Policy(rules=(*deny(*denied), *allow(*allowed)))
    more = allowances(people, "people")
    after = Policy(rules=(*before.rules, *more.rules))
    for port in {443, *(port for _, port in people)}:
        old, new = decide(before, host, port), decide(after, host, port)
        asked_for = (host, port) in people and host not in {"10.1.2.3", "db"}
        assert new.allowed == (old.allowed or (asked_for and old.open))
    for address in map(ipaddress.ip_address, ("10.1.2.3", "169.254.169.254", "127.0.0.1")):
        old = decide_address(before, host, 443, address, {address})
        assert decide_address(after, host, 443, address, {address}).allowed == old.allowed
