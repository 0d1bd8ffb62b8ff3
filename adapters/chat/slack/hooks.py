"""Deliveries of Slack over HTTP, to an address of ours: signed by Slack, or not heard.

The signature covers the moment at which it was made; one older than five minutes is refused, so
that nothing that was overheard can be delivered again.
"""

from slack_bolt.adapter.starlette.async_handler import (
    to_async_bolt_request,
    to_starlette_response,
)
from slack_bolt.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response


class Hooks:
    """Where Slack's requests arrive; what they say is for the app that listens."""

    def __init__(self, signing_secret: str) -> None:
        """Nothing is heard before `open`."""
        self._verifier = SignatureVerifier(signing_secret)
        self._app: AsyncApp | None = None

    def open(self, app: AsyncApp) -> None:
        """Let `app` hear what comes from now on."""
        self._app = app

    def close(self) -> None:
        """Hear nothing any more: Slack delivers it again."""
        self._app = None

    async def handle(self, request: Request) -> Response:
        """Hear one request, and answer when it was heard."""
        body = await request.body()
        if not self._is_signed(body, request):
            return PlainTextResponse("not signed by Slack", status_code=401)
        if self._app is None:
            return PlainTextResponse("not listening yet", status_code=503)
        try:
            read = to_async_bolt_request(request, body)
        except (ValueError, TypeError, AttributeError):
            return PlainTextResponse("nothing that Slack delivers", status_code=400)
        return to_starlette_response(await self._app.async_dispatch(read))

    def _is_signed(self, body: bytes, request: Request) -> bool:
        timestamp = request.headers.get("x-slack-request-timestamp")
        signature = request.headers.get("x-slack-signature")
        try:
            return self._verifier.is_valid(body, timestamp, signature)
        except (ValueError, TypeError):
            # The SDK trusts both to be what Slack makes them.
            return False
