"""The same deliveries as signed requests to an address of the app."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp

if TYPE_CHECKING:
    from tests.fakes.slack.delivery import Delivery, Times
    from tests.fakes.slack.server import FakeSlack


class HttpMode:
    def __init__(self, slack: FakeSlack, times: Times) -> None:
        self._slack = slack
        self._times = times
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def sign(self, body: bytes, timestamp: int | None = None) -> dict[str, str]:
        """The headers that prove that a body comes from here.

        :param timestamp: another moment than now, for replays
        """
        moment = int(time.time()) if timestamp is None else timestamp
        secret = self._slack.app.signing_secret.encode()
        digest = hmac.new(secret, b"v0:%d:%b" % (moment, body), hashlib.sha256).hexdigest()
        return {
            "X-Slack-Request-Timestamp": str(moment),
            "X-Slack-Signature": f"v0={digest}",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        }

    async def post(self, delivery: Delivery, number: int) -> str:
        """One attempt; say how it ended."""
        body, kind = _body(delivery)
        headers = self.sign(body) | {"Content-Type": kind}
        if number:
            headers["X-Slack-Retry-Num"] = str(number)
            headers["X-Slack-Retry-Reason"] = delivery.attempts[-1]
        if number == 0 and delivery.mishap.disconnect == "before":
            return "connection_failed"
        try:
            status, answer, no_retry = await self._send(body, headers)
        except TimeoutError:
            return "http_timeout"
        except aiohttp.ClientError:
            return "connection_failed"
        if number == 0 and delivery.mishap.disconnect == "after":
            return "connection_failed"
        if not 200 <= status < 300:
            return "no_retry" if no_retry else "http_error"
        delivery.answer = _read(answer) or delivery.answer
        return "acked"

    async def verify_url(self) -> bool:
        """Whether the address of the app answers as its owner's does."""
        challenge = secrets.token_hex(16)
        token = self._slack.app.verification_token
        request = {"token": token, "challenge": challenge, "type": "url_verification"}
        body = json.dumps(request).encode()
        status, answer, _ = await self._send(
            body, self.sign(body) | {"Content-Type": "application/json"}
        )
        said = _read(answer)
        return status == 200 and challenge in (said.get("challenge"), said.get("text"))

    async def _send(self, body: bytes, headers: dict[str, str]) -> tuple[int, str, bool]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        url = self._slack.app.request_url
        assert url
        async with asyncio.timeout(self._times.ack_seconds):
            async with self._session.post(url, data=body, headers=headers) as answer:
                no_retry = answer.headers.get("X-Slack-No-Retry") == "1"
                return answer.status, await answer.text(), no_retry


def _body(delivery: Delivery) -> tuple[bytes, str]:
    if delivery.kind == "events_api":
        return json.dumps(delivery.payload).encode(), "application/json"
    form = "application/x-www-form-urlencoded"
    if delivery.kind == "interactive":
        return urlencode({"payload": json.dumps(delivery.payload)}).encode(), form
    fields = {name: _field(value) for name, value in delivery.payload.items()}
    return urlencode(fields).encode(), form


def _field(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(answer: str) -> dict[str, Any]:
    try:
        said = json.loads(answer)
    except ValueError:
        return {"text": answer} if answer else {}
    return said if isinstance(said, dict) else {"text": answer}
