"""The words of the port before SSH: JSON lines, each answered with the nonce it came with.

    host hello{protocol, nonce, token, machine} ─▶ guest hello{nonce, boot, generation, token}
    host thaw{nonce, time, entropy, generation, identity} ─▶ thawed
    host ssh{nonce} ─▶ ok, and from then on the port belongs to sshd
    host freeze{nonce} ─▶ frozen: no job takes a step until the next thaw

Refusals are `{"op": "refused", "nonce", "why"}`: a token below one that was seen, a generation
below one that was thawed, ssh before thaw, anything malformed. What is no JSON line is noise of
an earlier connection and skipped.
"""

import json
from collections.abc import Callable
from typing import Any, Protocol

PROTOCOL = 1
STALE_TOKEN = "stale token"


class RefusedWord(Exception):
    """The host asked for something that must not be done."""


class Deeds(Protocol):
    """What the words set in motion; every method may raise, which refuses the word."""

    @property
    def token(self) -> int:
        """The highest lease token heard of."""
        ...

    def newer_token(self, token: int) -> None:
        """A higher one: whoever was here before is out."""
        ...

    def thaw(self, word: dict[str, Any]) -> None:
        """Make the machine new, then let its jobs go on."""
        ...

    def ssh(self) -> None:
        """Give the port to sshd."""
        ...

    def freeze(self, done: Callable[[], None]) -> None:
        """Make it ready to rest, then call back."""
        ...


class Handshake:
    """Reads lines, keeps what must not go back, answers."""

    def __init__(
        self, deeds: Deeds, send: Callable[[bytes], None], boot_id: str, line_bytes_max: int
    ) -> None:
        self._deeds = deeds
        self._send = send
        self._boot_id = boot_id
        self._line_bytes_max = line_bytes_max
        self._buffer = bytearray()
        self._greeted = False
        self._thawed = False
        self.generation = 0

    def reset(self) -> None:
        """The connection is over: the next one begins with hello."""
        self._buffer.clear()
        self._greeted = False
        self._thawed = False

    def feed(self, data: bytes) -> None:
        """Take bytes of the port and act on the lines in them."""
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._line(line)
        if len(self._buffer) > self._line_bytes_max:
            self._buffer.clear()

    def _line(self, line: bytes) -> None:
        try:
            word = json.loads(line)
            nonce = str(word["nonce"])
            op = str(word["op"])
        except (ValueError, TypeError, KeyError):
            return
        try:
            answer = self._act(op, nonce, word)
        except Exception as error:
            answer = {"op": "refused", "why": str(error) or type(error).__name__}
        if answer is not None:
            self._answer(nonce, answer)

    def _answer(self, nonce: str, words: dict[str, Any]) -> None:
        self._send(json.dumps({**words, "nonce": nonce}).encode() + b"\n")

    def _act(self, op: str, nonce: str, word: dict[str, Any]) -> dict[str, Any] | None:
        if op == "hello":
            return self._hello(word)
        if not self._greeted:
            raise RefusedWord("hello comes first")
        if op == "thaw":
            return self._thaw(word)
        if op == "ssh":
            self._ssh(nonce)
            return None
        if op == "freeze":
            self._thawed = False
            self._deeds.freeze(lambda: self._answer(nonce, {"op": "frozen"}))
            return None
        raise RefusedWord(f"no word {op[:40]}")

    def _hello(self, word: dict[str, Any]) -> dict[str, Any]:
        if word.get("protocol") != PROTOCOL:
            raise RefusedWord(f"protocol {PROTOCOL} only")
        token = int(word["token"])
        if token < self._deeds.token:
            self._greeted = False
            raise RefusedWord(STALE_TOKEN)
        if token > self._deeds.token:
            self._deeds.newer_token(token)
        self._greeted = True
        return {
            "op": "hello",
            "protocol": PROTOCOL,
            "boot": self._boot_id,
            "generation": self.generation,
            "token": token,
        }

    def _thaw(self, word: dict[str, Any]) -> dict[str, Any]:
        generation = int(word["generation"])
        if generation < self.generation:
            raise RefusedWord("the generation went back")
        self._thawed = False
        self._deeds.thaw(word)
        self.generation = generation
        self._thawed = True
        return {"op": "thawed"}

    def _ssh(self, nonce: str) -> None:
        if not self._thawed:
            raise RefusedWord("thaw comes before ssh")
        self._answer(nonce, {"op": "ok"})
        self._buffer.clear()
        self._deeds.ssh()
