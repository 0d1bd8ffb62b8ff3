"""Images of private registries, pulled by OCI's distribution protocol without their credentials.

GET /v2/                                what a client asks first: yes, a registry
GET /v2/<name>/<repository>/manifests/… an upstream, with its grant added
GET /v2/<name>/<repository>/blobs/…

That protocol knows no path before `/v2/`, so the name of the upstream is the first part of that of
the image: `gateway.ona/<name>/team/app:1`. Images are only read from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vmpool.network.gateway.http import BadRequest
from vmpool.network.gateway.ports import Refused
from vmpool.network.gateway.routes import Injected, Visit, forward

PREFIX = "/v2/"
VERSION = (b"docker-distribution-api-version", b"registry/2.0")


@dataclass(frozen=True, kw_only=True)
class ImageRoute:
    """See the module."""

    upstreams: Mapping[str, tuple[str, Injected]]
    """By name: the address of a registry, and what is added for it."""
    prefix: str = PREFIX
    hosts: tuple[str, ...] = ()

    async def serve(self, visit: Visit) -> None:
        """See `Route`."""
        if visit.request.method not in {b"GET", b"HEAD"}:
            raise Refused("Images are only read from here; nothing was pushed.")
        name, _, rest = visit.rest.partition("/")
        if not name.partition("?")[0]:
            await visit.side.answer(200, "{}", kind="application/json", more=[VERSION])
            return
        if name not in self.upstreams:
            known = ", ".join(sorted(self.upstreams))
            raise BadRequest(f"No registry is called {name[:80]!r} here; there is {known}.", 404)
        base, injected = self.upstreams[name]
        added = await injected(visit.who, self.prefix, visit.request)
        await forward(visit, f"{base}{PREFIX.rstrip('/')}", rest, added)
