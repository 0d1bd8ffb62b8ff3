"""The guest's side of the words before SSH."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from vmpool.guest.handshake import Handshake


class Recorder:
    """Deeds that only say what was asked of them."""

    def __init__(self) -> None:
        self.token = 0
        self.done: list[str] = []
        self.fails: Exception | None = None

    def newer_token(self, token: int) -> None:
        self.token = token
        self.done.append(f"token {token}")

    def thaw(self, word: dict[str, Any]) -> None:
        if self.fails is not None:
            raise self.fails
        self.done.append("thaw")

    def ssh(self) -> None:
        self.done.append("ssh")

    def freeze(self, done: Callable[[], None]) -> None:
        self.done.append("freeze")
        done()


class Conversation:
    def __init__(self) -> None:
        self.deeds = Recorder()
        self.sent = bytearray()
        self.handshake = Handshake(self.deeds, self.sent.extend, "boot-1", 4096)

    def say(self, op: str, **words: Any) -> list[dict[str, Any]]:
        return self.feed(json.dumps({"op": op, "nonce": "n1", **words}).encode() + b"\n")

    def hello(self, token: int = 1) -> list[dict[str, Any]]:
        return self.say("hello", protocol=1, token=token, machine="m")

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        self.sent.clear()
        self.handshake.feed(data)
        return [json.loads(line) for line in bytes(self.sent).splitlines()]


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


def test_hello_is_answered_with_its_nonce_and_what_was_last_seen(talk: Conversation) -> None:
    assert talk.hello(token=7) == [
        {
            "op": "hello",
            "protocol": 1,
            "boot": "boot-1",
            "generation": 0,
            "token": 7,
            "nonce": "n1",
        }
    ]
    assert talk.deeds.done == ["token 7"]


def test_a_lower_token_is_refused_and_nothing_of_it_goes_on(talk: Conversation) -> None:
    talk.hello(token=7)
    assert talk.hello(token=6) == [{"op": "refused", "why": "stale token", "nonce": "n1"}]
    assert talk.say("freeze") == [{"op": "refused", "why": "hello comes first", "nonce": "n1"}]
    assert talk.deeds.done == ["token 7"]


def test_the_same_token_may_come_back_without_ending_anything(talk: Conversation) -> None:
    talk.hello(token=7)
    assert talk.hello(token=7)[0]["op"] == "hello"
    assert talk.deeds.done == ["token 7"]


def test_another_protocol_is_refused(talk: Conversation) -> None:
    assert talk.say("hello", protocol=2, token=1)[0]["op"] == "refused"


def test_ssh_before_thaw_is_refused(talk: Conversation) -> None:
    talk.hello()
    assert talk.say("ssh")[0]["why"] == "thaw comes before ssh"
    assert "ssh" not in talk.deeds.done


def test_after_thaw_the_ok_comes_before_sshd_is_started(talk: Conversation) -> None:
    talk.hello()
    assert talk.say("thaw", generation=3) == [{"op": "thawed", "nonce": "n1"}]
    assert talk.say("ssh") == [{"op": "ok", "nonce": "n1"}]
    assert talk.deeds.done == ["token 1", "thaw", "ssh"]


def test_a_thaw_that_fails_is_refused_and_leaves_ssh_shut(talk: Conversation) -> None:
    talk.hello()
    talk.say("thaw", generation=3)
    talk.deeds.fails = OSError("no entropy")
    assert talk.say("thaw", generation=4) == [{"op": "refused", "why": "no entropy", "nonce": "n1"}]
    assert talk.say("ssh")[0]["op"] == "refused"


def test_a_generation_that_goes_back_is_refused(talk: Conversation) -> None:
    talk.hello()
    talk.say("thaw", generation=3)
    assert talk.say("thaw", generation=2)[0]["why"] == "the generation went back"


def test_a_new_connection_must_thaw_again(talk: Conversation) -> None:
    talk.hello()
    talk.say("thaw", generation=3)
    talk.handshake.reset()
    talk.hello()
    assert talk.say("ssh")[0]["op"] == "refused"


def test_noise_of_an_earlier_connection_is_skipped(talk: Conversation) -> None:
    assert talk.feed(b'\xff\x00{"op":\n[1]\n"text"\n{"nonce": "x"}\n') == []
    assert talk.hello()[0]["op"] == "hello"


def test_noise_without_an_end_is_dropped_at_the_bound(talk: Conversation) -> None:
    talk.feed(b"\xff" * 5000)
    assert talk.feed(b'\n{"op":"hello","nonce":"n2","protocol":1,"token":1}\n')[0]["nonce"] == "n2"


def test_after_a_freeze_ssh_is_refused_until_the_next_thaw(talk: Conversation) -> None:
    talk.hello()
    talk.say("thaw", generation=3)
    talk.say("freeze")
    assert talk.say("ssh")[0]["why"] == "thaw comes before ssh"
    talk.say("thaw", generation=3)
    assert talk.say("ssh") == [{"op": "ok", "nonce": "n1"}]


def test_freeze_is_answered_when_it_is_done(talk: Conversation) -> None:
    talk.hello()
    assert talk.say("freeze") == [{"op": "frozen", "nonce": "n1"}]
